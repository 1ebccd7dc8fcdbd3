"""Finding out what changed where sentinels only say that something did, by looking at every node.

A sweep for instances goes as fast as the agent answers, since a change waits for it. One for checks that are new and
pass, which no list of what ails names, takes its time: it must not hold up those.
"""

from __future__ import annotations

import asyncio
import time

from ctemplate.catalog.consul.census import Census
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
        census = self._census
        pace = TokenBucket(burst=1, per_second=SWEEPS_PER_SECOND)
        while True:
            await census.somewhere.wait()
            await asyncio.sleep(pace.delay(now=time.monotonic()))
            census.somewhere.clear()
            since, census.dirt.services = census.dirt.services, None
            if since is None:
                continue
            if len(census.ledger) <= len(census.nodes):
                census.mark(census.ledger.names)
            else:
                await census.look_everywhere(services=True, since=since)

    async def checks_for_ever(self) -> None:
        """Find which checks are new whenever it is only known that some were written, every `CHECKS_SECONDS`."""
        census = self._census
        while True:
            await asyncio.sleep(CHECKS_SECONDS)
            await census.written.wait()
            census.written.clear()
            since, census.dirt.checks = census.dirt.checks, None
            if since is None:
                continue
            if len(census.ledger) <= len(census.nodes):
                census.mark(census.ledger.names)
            else:
                await census.look_everywhere(checks=True, since=since, at_once=CHECK_READERS)
