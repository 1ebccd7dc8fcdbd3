"""What is mounted where in this process's namespace, as `/proc/self/mountinfo` tells (proc(5)).

It is read each time: the kernel tells a poll of it of mounts, but not of a directory above one that is renamed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")
_WRITTEN = ((b"\\", rb"\134"), (b" ", rb"\040"), (b"\t", rb"\011"), (b"\n", rb"\012"))
"""How the kernel writes what would be read as the end of a field (`fs/proc_namespace.c`)."""


def is_mounted(path: Path) -> bool:
    """Whether something is mounted on this path."""
    return _written(path) in _points()


def is_mounted_below(directory: Path) -> bool:
    """Whether something is mounted on a path below this one."""
    return any(point.startswith(_written(directory).rstrip(b"/") + b"/") for point in _points())


def _points() -> Iterator[bytes]:
    try:
        lines = MOUNTINFO.read_bytes().split(b"\n")  # a carriage return is a part of a name here
    except OSError:
        return
    for line in filter(None, lines):
        yield line.split(b" ", 5)[4]


def _written(path: Path) -> bytes:
    text = os.fsencode(path)
    for character, escape in _WRITTEN:
        text = text.replace(character, escape)
    return text
