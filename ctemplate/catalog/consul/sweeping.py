"""Finding out what changed where sentinels only say that something did, by looking at every node.

A sweep for instances goes as fast as the agent answers, since a change waits for it. One for checks that are new and
pass, which no list of what ails names, takes its time: it must not hold up those.
"""

from __future__ import annotations

import asyncio
import time

from ctemplate.catalog.consul.census import Census
from ctemplate.catalog.consul.node_reads import READERS
from ctemplate.pace import TokenBucket

SWEEPS_PER_SECOND = 1.0
CHECKS_SECONDS = 30.0
"""The least time between two sweeps for checks."""
CHECK_READERS = 1
"""Reads at once of a sweep for checks."""


class Sweeps:
    """The sweeps of one census."""

    def __init__(self, census: Census) -> None:
        self._census = census

    async def services_for_ever(self) -> None:
        """Find which services changed whenever it is only known that some did."""
        pace = TokenBucket(burst=1, per_second=SWEEPS_PER_SECOND)
        while True:
            await self._census.somewhere.wait()
            await asyncio.sleep(pace.delay(now=time.monotonic()))
            self._census.somewhere.clear()
            await self._sweep(self._census.dirt.take_services(), services=True)
            self._census.dirt.found()

    async def checks_for_ever(self) -> None:
        """Find which checks are new whenever it is only known that some were written, every `CHECKS_SECONDS`.

        Of a lean census only those matter of whose status no sentinel tells.
        """
        while True:
            await asyncio.sleep(CHECKS_SECONDS)
            await self._census.written.wait()
            self._census.written.clear()
            since = self._census.dirt.take_checks(now=time.monotonic())
            if not self._census.lean:
                await self._sweep(since, checks=True, at_once=CHECK_READERS)
            elif since is not None:
                self._census.told_untold(await self._census.ask_for_untold(since))

    async def _sweep(
        self, since: float | None, *, services: bool = False, checks: bool = False, at_once: int = READERS
    ) -> None:
        census = self._census
        if since is None:
            return
        if len(census.ledger) <= len(census.nodes):
            census.mark(census.ledger.names)  # to read each is less
        else:
            await census.look_everywhere(services=services, checks=checks, since=since, at_once=at_once)
