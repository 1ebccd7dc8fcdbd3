"""Looks at nginx's processes: the master that a pid file names, and its workers.

nginx tells what each process is by its title. Only this machine's process table is looked at: a master
in a container or hidden by `hidepid` is `Hidden`, which is something else than not running.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec
import psutil

from ctemplate.commit.reload.alive import exists

_MASTER = "nginx: master process"
_WORKER = "nginx: worker process"
_STOPPING = "nginx: worker process is shutting down"

Identity: TypeAlias = tuple[int, float]
"""Process id and creation time: ids are used again, the pair is not."""


class Presence(enum.Enum):
    """What a pid file leads to."""

    RUNNING = enum.auto()
    ABSENT = enum.auto()  # no file, an empty one (`nginx -t` leaves it), or a process that is gone
    STRANGER = enum.auto()  # no nginx master, though a signal would reach it: the file is stale
    HIDDEN = enum.auto()  # there is something that we may not see


class Sight(msgspec.Struct, frozen=True):
    """A pid file and what it leads to."""

    presence: Presence
    pid: int = 0
    what: str = ""
    """What a stranger is, or why something is hidden."""


class MasterGone(Exception):
    """The master ended while it was looked at."""


def find(pid_file: Path) -> Sight:
    """Follow a pid file to a master."""
    try:
        text = pid_file.read_text(errors="replace").strip()
    except FileNotFoundError:
        return Sight(Presence.ABSENT)
    except OSError as error:
        return Sight(Presence.HIDDEN, what=f"{pid_file}: {error.strerror}")
    if not text.isdecimal() or int(text) == 0:
        return Sight(Presence.ABSENT)
    pid = int(text)
    try:
        process = psutil.Process(pid)
        title, name = _title(process), process.name()
    except psutil.ZombieProcess:
        return Sight(Presence.STRANGER, pid, "it has ended, and its parent does not reap it")
    except psutil.NoSuchProcess:
        return Sight(Presence.HIDDEN, pid, "hidden by hidepid") if exists(pid) else Sight(Presence.ABSENT, pid)
    except psutil.AccessDenied:
        return Sight(Presence.HIDDEN, pid, "its title may not be read")
    if title.startswith(_MASTER):
        return Sight(Presence.RUNNING, pid)
    return Sight(Presence.STRANGER, pid, f"it is `{name}`")


def upgrading(pid_file: Path) -> bool:
    """Tell whether the binary is being replaced in place (USR2): two masters share the sockets."""
    return find(pid_file.with_name(pid_file.name + ".oldbin")).presence is Presence.RUNNING


def masters() -> frozenset[int]:
    """Return the masters that see the same files as we do, so none of a container's."""
    own = _mounts("self")
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if _title(process).startswith(_MASTER) and own and _mounts(str(process.pid)) == own:
                found.add(process.pid)
    return frozenset(found)


class Master:
    """One running master, and what is to be seen of its workers."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._process = psutil.Process(pid)
            self._created = self._process.create_time()
        except psutil.Error as error:
            raise MasterGone from error

    def workers(self) -> Mapping[Identity, bool]:
        """Return its workers; True: it said that it is shutting down. Raises `MasterGone`."""
        try:
            if not self._process.is_running() or self._process.status() == psutil.STATUS_ZOMBIE:
                raise MasterGone
            children = self._process.children()
        except psutil.NoSuchProcess as error:
            raise MasterGone from error
        seen: dict[Identity, bool] = {}
        for child in children:
            try:
                title = _title(child)
            except psutil.Error:
                continue  # it ended between two looks
            if title in (_WORKER, _STOPPING):
                seen[child.pid, child.create_time()] = title == _STOPPING
        return seen

    def standard_error(self) -> Path | None:
        """Return the file that the master's standard error goes to, if it is a file and may be seen."""
        try:
            path = Path(f"/proc/{self.pid}/fd/2").resolve(strict=True)
        except OSError:
            return None
        return path if path.is_file() else None


def _title(process: psutil.Process) -> str:
    return " ".join(process.cmdline()).strip()


def _mounts(process: str) -> str:
    """Return the name of a process's mount namespace; empty where it may not be seen."""
    try:
        return str(Path(f"/proc/{process}/ns/mnt").readlink())
    except OSError:
        return ""
