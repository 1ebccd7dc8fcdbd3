"""A watch that has gone silent is given up, and said; one that only has no news is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from ctemplate.catalog.consul.punctual import SILENCE_SECONDS, punctual
from ctemplate.errors import Unavailable


class Source:
    """Yields a number after each of some pauses, then waits for ever."""

    def __init__(self, *pauses: float) -> None:
        self.pauses = pauses
        self.closed = False

    async def watch(self) -> AsyncGenerator[int, None]:
        try:
            for number, pause in enumerate(self.pauses):
                await asyncio.sleep(pause)
                yield number
            await asyncio.Event().wait()
        finally:
            self.closed = True


def test_a_watch_that_hears_nothing_for_too_long_is_given_up_and_closed(in_virtual_time):
    async def story() -> None:
        source, seen = Source(1, 60, 70), []
        with pytest.raises(Unavailable, match="nothing was heard for 124 s"):
            async for number in punctual(source.watch(), pause=lambda: 15.0):
                seen.append(number)  # noqa: PERF401 - what came before the error counts
        assert seen == [0, 1, 2]
        assert source.closed
        assert asyncio.get_running_loop().time() >= 131 + SILENCE_SECONDS + 15

    in_virtual_time(story())


def test_a_watch_that_is_closed_closes_what_it_watches(in_virtual_time):
    async def story() -> None:
        source = Source(1)
        watch = punctual(source.watch(), pause=lambda: 0.0)
        assert await anext(watch) == 0
        await watch.aclose()
        assert source.closed

    in_virtual_time(story())
