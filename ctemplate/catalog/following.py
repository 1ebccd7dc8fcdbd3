"""Turns "read this file now" into a watch that keeps the catalogs' contract, for every catalog made of files.

A file is read when something happened to it, and when a look in passing finds another stamp than it was read with.
A fault is raised once: the caller opens a watch anew after a pause that grows to a minute, and a file that was
mended must not wait for that. So a watch that is opened on a fault which was already raised does not raise it again,
it waits for the file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from ctemplate.catalog.leading import Stamp, stamp, telling
from ctemplate.catalog.watching import FileWatcher
from ctemplate.errors import CatalogError
from ctemplate.events import Emit
from ctemplate.model import Answer, Query

SETTLE_SECONDS = 0.05
"""How long a changed file must stand still before it is read."""

REPEAT_SECONDS = 30.0
"""How long ago an equal answer was yielded before it is yielded again, so that its age is known. Every file is looked
at each minute."""


class Follower:
    """The watches of one catalog that is made of files."""

    def __init__(self, *, emit: Emit, repeats: bool = True) -> None:
        """`repeats`: equal answers are yielded now and then, for a catalog whose age somebody asks for."""
        self._watcher = FileWatcher(emit=emit)
        self._repeats = repeats
        self._raised: dict[Query, str] = {}

    async def follow(self, query: Query, path: Path, *, read: Callable[[Query], Answer]) -> AsyncGenerator[Answer]:
        """Yield what `read` returns for `query` now and whenever it differs, and maybe now and then as a sign of life.

        `read` runs in a worker thread, since a network file system may let it hang. What it raises ends the watch.
        """
        answer: Answer | None = None
        last: Answer | None = None
        as_read: Stamp | None = None
        told = 0.0
        quiet = self._raised.pop(query, "")
        reading = _read_now
        with self._watcher.subscribe(path) as subscription:
            while True:
                if as_read is None or as_read != subscription.stamp:
                    try:
                        as_read, answer = await reading(read, query, path)
                        quiet = ""
                    except CatalogError as error:
                        as_read, answer = None, None
                        if str(error) != quiet:
                            self._raised[query] = str(error)
                            raise
                subscription.known = None if self._repeats else as_read
                if answer is not None and (answer != last or time.monotonic() >= told + REPEAT_SECONDS):
                    last, told = answer, time.monotonic()
                    yield answer
                if not await subscription.changed():
                    return
                # What a look in passing found has stood still for long: only what was just touched is waited for.
                reading = _read_settled if telling(subscription.stamp) is None else _read_now

    def close(self) -> None:
        """End every watch."""
        self._watcher.close()


async def _read_now(read: Callable[[Query], Answer], query: Query, path: Path) -> tuple[Stamp | None, Answer]:
    return await asyncio.to_thread(lambda: (telling(stamp(path)), read(query)))


async def _read_settled(read: Callable[[Query], Answer], query: Query, path: Path) -> tuple[Stamp | None, Answer]:
    """Read a file that was just touched once it stands still: written in place, it is empty or cut off for a moment."""
    while True:
        before = await _settle(path)
        as_read = telling(before)
        try:
            answer = await asyncio.to_thread(read, query)
        except CatalogError:
            if await asyncio.to_thread(stamp, path) == before:
                raise
        else:
            if await asyncio.to_thread(stamp, path) == before:
                return as_read, answer


async def _settle(path: Path) -> Stamp | None:
    before = await asyncio.to_thread(stamp, path)
    while True:
        await asyncio.sleep(SETTLE_SECONDS)
        now = await asyncio.to_thread(stamp, path)
        if now == before:
            return now
        before = now
