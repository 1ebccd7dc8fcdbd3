"""status.json, which `ctemplate status` shows: written when there is news, at a pace that costs next to nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from ctemplate.events import Emit, Warned
from ctemplate.observe.status import Status
from ctemplate.pace import TokenBucket
from ctemplate.state import State

STATUS_SECONDS = 1.0
"""The least time between two writings."""

REST, REST_SECONDS = 4000, 5.0
"""After a writing, in times of what it took, and at most: 0.025 % of one core, or a writing in five seconds. What
happens after calm is written at once."""


class StatusFile:
    """Keeps the file current."""

    def __init__(
        self,
        state: State,
        *,
        collect: Callable[[], Status],
        written: Callable[[], None],
        max_age: Callable[[], float],
        emit: Emit,
    ) -> None:
        """`collect` returns what is to be said; `written` is called after each writing while it is kept current.

        `max_age` returns for how many seconds data that are current may be so, 0 for ever: they are noted to be so when
        this collects, and would be too old again after a longer rest.
        """
        self._state = state
        self._max_age = max_age
        self._collect = collect
        self._written = written
        self._emit = emit
        self._news = asyncio.Event()

    def wake(self) -> None:
        """What the file says may have changed."""
        self._news.set()

    async def run(self) -> None:
        """Keep it current, for ever."""
        pace = TokenBucket(burst=1, per_second=1 / STATUS_SECONDS)
        while True:
            await self._news.wait()
            await asyncio.sleep(pace.delay(now=time.monotonic()))
            self._news.clear()
            began = time.thread_time()
            self.write()
            self._written()
            longest = min(REST_SECONDS, self._max_age() / 4 or REST_SECONDS)
            await asyncio.sleep(min(REST * (time.thread_time() - began), longest))

    def write(self) -> None:
        """Write it now. A full disk must hurt nobody else: that it cannot be written is a warning."""
        status = self._collect()
        try:
            self._state.write_status(msgspec.json.encode(status))
        except OSError as error:
            self._emit(Warned(message=f"cannot write status.json in {self._state.path}: {error.strerror}"))
