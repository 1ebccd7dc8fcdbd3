"""A state of the model as real files, and real files as a state."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from crash.disk import State


def lay_out(state: State, *, root: Path) -> None:
    """Make a directory hold exactly this."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for path, node in state:
        place = root / path
        if node is None:
            place.mkdir()
        elif node[0] == path:
            place.write_bytes(node[1])
        else:
            os.link(root / node[0], place)


def take(root: Path, *, ignored: tuple[str, ...] = ()) -> State:
    """Return what a directory holds, save what begins with `ignored`."""
    state: list[tuple[str, tuple[str, bytes] | None]] = []
    first: dict[int, str] = {}
    for place in sorted(root.rglob("*"), key=lambda place: str(place.relative_to(root))):
        path = str(place.relative_to(root))
        if path.startswith(ignored):
            continue
        if place.is_dir():
            state.append((path, None))
        else:
            state.append((path, (first.setdefault(place.stat().st_ino, path), place.read_bytes())))
    return tuple(state)
