"""What is mounted where in this process's namespace, as `/proc/self/mountinfo` tells (proc(5))."""

from __future__ import annotations

import os
import select
import threading
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")
_WRITTEN = ((b"\\", rb"\134"), (b" ", rb"\040"), (b"\t", rb"\011"), (b"\n", rb"\012"))
"""How the kernel writes what would be read as the end of a field (`fs/proc_namespace.c`)."""


class _Table:
    """The mount points, read again when the kernel says that they changed.

    It says so once to each open file, by POLLPRI (proc(5)), and counts from when the file was opened.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: int | None = None
        self._changed = select.poll()
        self._points: frozenset[bytes] = frozenset()

    def points(self) -> frozenset[bytes]:
        """Return where something is mounted now; nowhere, where there is no /proc."""
        with self._lock:
            try:
                if self._file is None:
                    self._file = os.open(MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)
                    self._changed.register(self._file, select.POLLPRI)
                elif not self._changed.poll(0):
                    return self._points
                with open(self._file, "rb", closefd=False) as file:
                    file.seek(0)
                    lines = file.read().split(b"\n")  # a carriage return is a part of a name here
            except OSError:
                self._forget()
                return frozenset()
            self._points = frozenset(line.split(b" ", 5)[4] for line in lines if line)
            return self._points

    def _forget(self) -> None:
        if self._file is not None:
            self._changed.unregister(self._file)
            os.close(self._file)
            self._file = None


_TABLE = _Table()


def is_mounted(path: Path) -> bool:
    """Whether something is mounted on this path."""
    return _written(path) in _TABLE.points()


def is_mounted_below(directory: Path) -> bool:
    """Whether something is mounted on a path below this one."""
    return any(point.startswith(_written(directory).rstrip(b"/") + b"/") for point in _TABLE.points())


def _written(path: Path) -> bytes:
    text = os.fsencode(path)
    for character, escape in _WRITTEN:
        text = text.replace(character, escape)
    return text
