"""Where a path leads, and what the kernel says of the file there. It reads no file."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_LINKS_MAX = 40  # path_resolution(7): the kernel follows no more either

TICK_NANOSECONDS = 2_000_000_000
"""The coarsest that a file system counts time (FAT); NFS and ext3 count whole seconds."""


class Stamp(NamedTuple):
    """What a path leads to, and what the kernel says of the file there."""

    way: tuple[Path, ...]
    device: int
    inode: int
    size: int
    blocks: int
    written: int
    """When its content was changed last, and `changed` when its inode was, in nanoseconds since the epoch."""
    changed: int


def stamp(path: Path, way: tuple[Path, ...] | None = None) -> Stamp | None:
    """Return the stamp of `path`, of which `way` is the trail; None where there is no file, or it cannot be told."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None
    way = trail(path) if way is None else way
    return Stamp(way, found.st_dev, found.st_ino, found.st_size, found.st_blocks, found.st_mtime_ns, found.st_ctime_ns)


def telling(found: Stamp | None) -> Stamp | None:
    """Return the stamp of a file that is about to be read if an equal one later proves that it says the same.

    It does not for what the kernel makes up (/proc, /sys: no blocks), nor for what was written a moment ago.
    """
    if found is None or not found.blocks or time.time_ns() - max(found.written, found.changed) < TICK_NANOSECONDS:
        return None
    return found


def trails(paths: Iterable[Path]) -> dict[Path, tuple[Path, ...]]:
    """Return the trail of each path; a directory that leads to many is looked at once."""
    plain: set[Path] = set()
    return {path: trail(path, plain) for path in paths}


def trail(path: Path, plain: set[Path] | None = None) -> tuple[Path, ...]:
    """Return the names that decide what `path` means, each in a directory that exists and holds no link.

    `plain` are directories to which no link leads, those on the way there among them: they are not looked at, and what
    is found is added.
    """
    plain = set() if plain is None else plain
    names: list[Path] = []
    if path.name and path.parent in plain:
        here, ahead = path.parent, [path.name]
    else:
        here, ahead = Path("/"), [part for part in reversed(path.parts) if part != "/"]
    while ahead:
        part = ahead.pop()
        name = here.parent if part == ".." else here / part
        try:
            mode = name.lstat().st_mode
            target = name.readlink() if stat.S_ISLNK(mode) else None
        except (OSError, ValueError):  # nothing there, not for us to see, no name at all
            return (*names, name)
        if target is None:
            if not ahead or not stat.S_ISDIR(mode):
                return (*names, name)
            here = name
            plain.add(name)
            continue
        names.append(name)
        if len(names) > _LINKS_MAX:
            break
        here = Path("/") if target.is_absolute() else here
        ahead.extend(part for part in reversed(target.parts) if part != "/")
    return tuple(names)
