"""The census as a whole: begun with its first watch, by polls that fit the nodes, ended with its last.

What it fails with ends every watch of it; the hub opens them again, and with the first of them a new census begins.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable

from ctemplate.catalog.consul import marks
from ctemplate.catalog.consul.census import Census
from ctemplate.catalog.consul.client import Client
from ctemplate.catalog.consul.node_polls import NodePolls
from ctemplate.catalog.consul.node_reads import shaped
from ctemplate.catalog.consul.polling import fresh
from ctemplate.catalog.consul.questions import NODE_READ, NODES
from ctemplate.catalog.consul.sentinels import Resized, Sentinels
from ctemplate.catalog.consul.sweeping import Sweeps
from ctemplate.errors import Unavailable
from ctemplate.events import Debugged, Emit
from ctemplate.model import Answer
from ctemplate.pace import TokenBucket


class CensusTaker:
    """Runs at most one census, while anybody follows it."""

    def __init__(self, client: Client, *, max_stale: float, polls: Callable[[], int], emit: Emit) -> None:
        """`polls`: how many connections may be parked on."""
        self._client = client
        self._max_stale = max_stale
        self._polls = polls
        self._emit = emit
        self._census: Census | None = None
        self._task: asyncio.Task[None] | None = None
        self._checks_wanted = False
        """Whether somebody has looked at checks, and may again."""
        self._pace = TokenBucket(burst=1, per_second=1.0)

    def follow(self, name: str) -> AsyncGenerator[Answer, None]:
        """Yield the answer on a service, then each that differs. Raises what the census failed with."""
        if not name.strip("."):
            raise Unavailable(f"{name!r} names no service")
        if self._census is None or self._task is None or self._task.done() or self._task.cancelling():
            self._census = Census(self._client, max_stale=self._max_stale, emit=self._emit, deserted=self._deserted)
            self._task = asyncio.create_task(self._run(self._census, after=self._task), name="census")
        return self._census.ledger.follow(name)

    def want_checks(self) -> None:
        """Let instances come with their checks from now on, whatever census is run."""
        self._checks_wanted = True
        if self._census is not None and self._census.lean:
            self._emit(Debugged(message="a template looks at checks: all services are read again with theirs"))
            self._census.read_checks()

    @property
    def lean(self) -> bool:
        """Whether instances come without their checks."""
        running = self._task is not None and not self._task.done()
        return running and self._census is not None and self._census.lean

    def _deserted(self) -> None:
        """End the census if nobody follows it; whoever left may have followed an earlier one."""
        if self._census is not None and self._task is not None and not self._census.ledger:
            self._task.cancel()

    def current_at(self) -> float | None:
        """Return when every answer was last known to be current; None if they never were."""
        return self._census.current_at() if self._census is not None else None

    def underway(self) -> str:
        """Say how many nodes are read, while all are."""
        if self._census is None or not self._census.nodes.read:
            return ""
        return f"{self._census.nodes.read} of {len(self._census.nodes)} nodes are read"

    async def aclose(self) -> None:
        """End the census."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, census: Census, *, after: asyncio.Task[None] | None) -> None:
        try:
            if after is not None:  # it may be on its way out
                await asyncio.wait([after])
            # Those who come back after a failure come one by one, and each would begin a census of its own.
            await asyncio.sleep(self._pace.delay(now=time.monotonic()))
            while True:
                await self._run_arranged(census)
        except Exception as fault:  # whatever it is, whoever follows must hear of it
            census.ledger.end(fault)

    async def _run_arranged(self, census: Census) -> None:
        """Run until the nodes no longer fit the way they are followed."""
        count = await self._count_nodes()
        by_node = not self._fits(count)
        way = Sentinels if by_node else NodePolls
        polls = way(self._client, census, max_stale=self._max_stale, fits_nodes=self._fits)
        said = "sentinels" if by_node else "two polls a node"
        self._emit(Debugged(message=f"services on {count} nodes are followed by {said}"))
        census.begun.clear()
        census.lean = by_node and not self._checks_wanted
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(polls.run(), name="census polls")
                tasks.create_task(census.read_for_ever(by_node=by_node), name="census reader")
                if by_node:
                    sweeps = Sweeps(census)
                    tasks.create_task(sweeps.services_for_ever(), name="census sweeps")
                    tasks.create_task(sweeps.checks_for_ever(), name="census sweeps for checks")
        except* Resized:
            pass  # the next turn counts them again
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise asyncio.CancelledError  # in the same moment, which a task group that fails does not tell

    async def _count_nodes(self) -> int:
        reply = await fresh(self._client, NODES, {}, rule=NODE_READ, max_stale=self._max_stale, since=0.0)
        with shaped(reply):
            return len(marks.of_nodes(reply.body))

    def _fits(self, nodes: int) -> bool:
        return 2 * nodes + 1 <= self._polls()
