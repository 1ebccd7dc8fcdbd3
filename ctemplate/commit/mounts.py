"""What is mounted where in this process's namespace, as `/proc/self/mountinfo` tells (proc(5)).

It is read each time: the kernel tells a poll of it of mounts, but not of a directory above one that is renamed.
"""

from __future__ import annotations

import os
from pathlib import Path

from ctemplate.commit.reading import read

MOUNTINFO = Path("/proc/self/mountinfo")
_WRITTEN = ((b"\\", rb"\134"), (b" ", rb"\040"), (b"\t", rb"\011"), (b"\n", rb"\012"))
"""How the kernel writes what would be read as the end of a field (`fs/proc_namespace.c`)."""


def is_mounted(path: Path) -> bool:
    """Whether something is mounted on this path."""
    name, table = _written(path), _table()
    return b" %b " % name in table and name in _points(table)


def is_mounted_below(directory: Path) -> bool:
    """Whether something is mounted on a path below this one."""
    below = _written(directory).rstrip(b"/") + b"/"
    return any(point.startswith(below) for point in _points(_table()))


def _table() -> bytes:
    try:
        return read(MOUNTINFO) or b""
    except OSError:
        return b""


def _points(table: bytes) -> list[bytes]:
    # A carriage return is a part of a name here.
    return [line.split(b" ", 5)[4] for line in table.split(b"\n") if line]


def _written(path: Path) -> bytes:
    text = os.fsencode(path)
    for character, escape in _WRITTEN:
        text = text.replace(character, escape)
    return text
