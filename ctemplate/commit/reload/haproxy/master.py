"""Asks HAProxy's master process what it runs: `show proc` on its command socket (`haproxy -W -S PATH`)."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

import msgspec

_ANSWER_SECONDS = 2.0
_ANSWER_BYTES = 1024 * 1024
_CREDENTIALS = struct.Struct("iII")  # ucred of unix(7): process, user, group
_MASTER = re.compile(r"^\d+\s+master\s+\d+(?:\s+\[failed: (\d+)\])?", re.MULTILINE)
_WORKER = re.compile(r"^(\d+)\s+worker\s+(\d+)\b", re.MULTILINE)


class Processes(msgspec.Struct, frozen=True):
    """What the master says that it runs."""

    master: int
    """Its process id on this machine, which stays while it executes itself; 0: hidden, in another namespace."""
    failed: int
    """Reloads that failed since the last good one."""
    workers: Mapping[int, int]
    """By process id, how many reloads each has seen: 0 for one that runs the newest configuration."""

    @property
    def newest(self) -> frozenset[int]:
        """The workers of the newest configuration."""
        return frozenset(pid for pid, reloads in self.workers.items() if reloads == 0)


def show_processes(path: Path) -> Processes:
    """Ask the master. Raises `OSError` if it cannot be reached or says nothing that can be understood."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(str(path))
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        connection.sendall(b"show proc\n")
        connection.shutdown(socket.SHUT_WR)  # 2.6 answers only then
        answer = bytearray()
        while len(answer) < _ANSWER_BYTES and (block := connection.recv(65536)):
            answer += block
    pid, _user, _group = _CREDENTIALS.unpack(credentials)
    return read_processes(answer.decode(errors="replace"), master=pid)


def read_processes(answer: str, *, master: int) -> Processes:
    """Read the table of `show proc`."""
    line = _MASTER.search(answer)
    if line is None:
        raise OSError("the answer to `show proc` has no master: is this the master's socket (`-S`)?")
    workers = {int(pid): int(reloads) for pid, reloads in _WORKER.findall(answer)}
    return Processes(master, int(line[1] or 0), workers)
