"""Turns "read this file now" into a watch that keeps the catalogs' contract, for every catalog made of files.

It adds one thing to reading on every change: a fault is raised once. The caller opens a watch anew after a pause
that grows to a minute, and a file that was mended must not wait for that; so a watch that is opened on a fault
which was already raised does not raise it again, it waits for the file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from ctemplate.catalog.watching import FileWatcher
from ctemplate.errors import CatalogError
from ctemplate.events import Emit
from ctemplate.model import Answer, Query

SETTLE_SECONDS = 0.05
"""How long a changed file must stand still before it is read."""

REPEAT_SECONDS = 30.0
"""How long ago an equal answer was yielded before it is yielded again, so that its age is known. Every file is read
again each minute."""


class Follower:
    """The watches of one catalog that is made of files."""

    def __init__(self, *, emit: Emit) -> None:
        self._watcher = FileWatcher(emit=emit)
        self._raised: dict[Query, str] = {}

    async def follow(self, query: Query, path: Path, *, read: Callable[[Query], Answer]) -> AsyncGenerator[Answer]:
        """Yield what `read` returns for `query` now and whenever it differs, and now and then as a sign of life.

        `read` runs in a worker thread, since a network file system may let it hang. What it raises ends the watch.
        """
        last: Answer | None = None
        told = 0.0
        quiet = self._raised.pop(query, "")
        with self._watcher.subscribe(path) as subscription:
            reading = asyncio.to_thread(read, query)
            while True:
                try:
                    answer = await reading
                except CatalogError as error:
                    if str(error) != quiet:
                        self._raised[query] = str(error)
                        raise
                else:
                    quiet = ""
                    now = time.monotonic()
                    if answer != last or now >= told + REPEAT_SECONDS:
                        last, told = answer, now
                        yield answer
                if not await subscription.changed():
                    return
                reading = _read_settled(read, query, path)

    def close(self) -> None:
        """End every watch."""
        self._watcher.close()


async def _read_settled(read: Callable[[Query], Answer], query: Query, path: Path) -> Answer:
    """Read a file that was just touched once it stands still: written in place, it is empty or cut off for a moment."""
    while True:
        stamp = await _settle(path)
        try:
            answer = await asyncio.to_thread(read, query)
        except CatalogError:
            if _stamp(path) == stamp:
                raise
        else:
            if _stamp(path) == stamp:
                return answer


async def _settle(path: Path) -> tuple[int, int, int] | None:
    before = _stamp(path)
    while True:
        await asyncio.sleep(SETTLE_SECONDS)
        now = _stamp(path)
        if now == before:
            return now
        before = now


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
