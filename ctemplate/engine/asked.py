"""What a person asks of the running process (`ctemplate release`): seen, done and answered."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from ctemplate import requests
from ctemplate.engine.guards import Guards
from ctemplate.model import Query

REQUEST_SECONDS = 0.5
"""How soon a request is seen while something is held."""


class Asked:
    """Looks for requests in `directory`; only while something is held is there anything to ask for."""

    def __init__(self, directory: Path, guards: Guards, *, released: Callable[[frozenset[Query]], None]) -> None:
        """`released` is called with the queries whose readers render differently from now on."""
        self._directory = directory
        self._guards = guards
        self._released = released
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Something may be held from now on."""
        self._news.set()

    async def run(self) -> None:
        """Answer each request as it comes, for ever."""
        while True:
            self._news.clear()
            seconds = REQUEST_SECONDS if self._guards.holds else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            if seconds is not None:
                self.answer()

    def answer(self) -> None:
        """Do what is asked for by now, and say what came of it."""
        released: set[Query] = set()
        for path, request in requests.take(self._directory):
            holds = self._guards.release(request.release, now=time.monotonic())
            released.update(query for hold in holds for query in hold.selection.queries)
            said = [f"released {h.selection} in {h.template}: {len(h.shrink.lost)} instances go" for h in holds]
            requests.answer(path, "\n".join(said) or f"nothing of {request.release} is held")
        if released:
            self._released(frozenset(released))
