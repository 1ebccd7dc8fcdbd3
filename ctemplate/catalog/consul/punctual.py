"""A watch that has heard nothing for longer than its wait allows is given up, so that it is begun anew, and said.

Every request has a deadline of its own. This is for what no deadline foresees: a watch that waits for something
that never comes goes silent for ever, and nobody sees it (consul-template #1074: stuck after a week or two).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

from ctemplate.catalog.consul.blocking import READ_SECONDS, WAIT_SECONDS, timeout_seconds
from ctemplate.catalog.http import CONNECT_SECONDS
from ctemplate.errors import Unavailable

SILENCE_SECONDS = timeout_seconds(WAIT_SECONDS) + CONNECT_SECONDS + READ_SECONDS
"""A poll that is parked for as long as it may be, a connection, and a read beside it or of the leader."""

_T = TypeVar("_T")


async def punctual(source: AsyncGenerator[_T, None], *, pause: Callable[[], float]) -> AsyncGenerator[_T, None]:
    """Yield from `source`; it may be silent for `SILENCE_SECONDS` and what it pauses by itself.

    Raises `Unavailable` when it is silent for longer; `source` is closed in any case.
    """
    async with contextlib.aclosing(source):
        while True:
            seconds = SILENCE_SECONDS + pause()
            try:
                async with asyncio.timeout(seconds):
                    item = await anext(source)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise Unavailable(
                    f"nothing was heard for {seconds:.0f} s, longer than a poll may take: it is begun anew"
                ) from None
            yield item
