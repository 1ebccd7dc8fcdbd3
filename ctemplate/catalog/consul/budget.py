"""How many requests there may be at the agent at once, and what becomes of that when its own limit is met."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ctemplate.events import Emit, Warned

HALVED_SECONDS = 2.0
"""Until a smaller budget shows: what was refused meanwhile was asked for by the larger one."""
_FEWEST = 2
"""Connections that no limit of the agent makes fewer: one to park on and one to read by."""


class Budget:
    """So many slots, each held while a request is under way; their number may shrink, and never grows again."""

    def __init__(self, size: int, *, emit: Emit, resized: Callable[[int], None]) -> None:
        """`resized` is told how many are left, each time that they become fewer."""
        self._size = size
        self._emit = emit
        self._resized = resized
        self._semaphore = asyncio.Semaphore(size)
        self._surplus = 0
        """How many slots are not given back when they are free."""
        self._halved_at = float("-inf")

    async def __aenter__(self) -> None:
        await self._semaphore.acquire()

    async def __aexit__(self, *_: object) -> None:
        if self._surplus:
            self._surplus -= 1
        else:
            self._semaphore.release()

    def halve(self, why: str) -> None:
        """Go on with half the slots, as soon as enough of those in use are free, and say what to do about it.

        The agent has no more connections for this host; `why` says how that shows.
        """
        now, before = time.monotonic(), self._size
        if now < self._halved_at + HALVED_SECONDS:
            return
        self._halved_at = now
        size = max(_FEWEST, before // 2)
        self._surplus += before - size
        self._size = size
        if size < before:
            self._resized(size)
            self._emit(
                Warned(
                    message=f"{why}: its limit on connections of this host is reached "
                    "(limits.http_max_conns_per_client in its configuration, 200 unless set). From now on at most "
                    f"{size} are used instead of {before}; raise that limit, or set -max-connections lower"
                )
            )
