"""Reads what nginx's error log says from a moment on: the words of a reload that failed.

A good reload may log nothing, so silence proves nothing; only lines at `emerg` and `alert` are kept.
Best effort: a log that is no file or may not be read says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_LINE = re.compile(rb"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(emerg|alert)\] (\d+)#\d+: (?:\*\d+ )?(.*)$", re.MULTILINE)
_TRIED_AGAIN = re.compile(r"(?:bind|listen)\(\) to .* failed \(98: ")
"""The port is in use: nginx tries five times, 500 ms apart, and says at the end that it gave up."""
_NEVER_AGAIN = re.compile(r"worker process \d+ exited with fatal code \d+ and cannot be respawned")
_BYTES = 1024 * 1024
"""Read at most at each look: a storm of other errors must not hold the proof up."""
_KEPT = 8


class ErrorLog:
    """The error logs of one instance, from its construction on."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._read_to = {path: _size(path) for path in dict.fromkeys(paths)}
        self._said: dict[str, None] = {}
        self._final: dict[int, None] = {}

    def follow(self, paths: Iterable[Path]) -> None:
        """Read these as well, from their present end on, where they are not read already."""
        for path in paths:
            self._read_to.setdefault(path, _size(path))

    def read(self) -> None:
        """Take in what was written since the last look."""
        for path, start in self._read_to.items():
            self._read_to[path] = start + self._take(path, start)

    def gave_up(self, master: int) -> bool:
        """Tell whether this master said that it did not take the new configuration, for good."""
        return master in self._final

    def words(self) -> str:
        """Return the different messages so far, without times and process ids."""
        return "; ".join(self._said)

    def _take(self, path: Path, start: int) -> int:
        """Read whole lines from `start`; return how many bytes they were."""
        size = _size(path)
        if size <= start:
            return size - start if size < start else 0  # truncated or rotated: go on from its new end
        try:
            with path.open("rb") as file:
                file.seek(max(start, size - _BYTES))
                skipped = file.tell() - start
                block = file.read(_BYTES)
        except OSError:
            return 0
        whole = block[: block.rfind(b"\n") + 1]
        for level, pid, text in _LINE.findall(whole):
            self._keep(level.decode(), int(pid), text.decode(errors="replace").strip())
        return skipped + len(whole)

    def _keep(self, level: str, pid: int, message: str) -> None:
        if len(self._said) < _KEPT:
            self._said.setdefault(re.sub(r"worker process \d+", "a worker process", message))
        if (level == "emerg" and not _TRIED_AGAIN.match(message)) or _NEVER_AGAIN.match(message):
            self._final[pid] = None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
