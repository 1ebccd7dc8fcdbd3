"""Five parked polls by which every change of any number of services is noticed, and what each tells.

Measured on Consul 1.8.7 and held against every Consul of the suite (tests/live/test_consul_census.py):

| change | catalog/services | catalog/nodes | health/state/critical, /warning | health/state/- |
| --- | --- | --- | --- | --- |
| an instance is new, removed, has another port, tags, meta | wakes; its body tells new names and tags | – | – | – |
| a check turns critical or warning, or back | – | – | that of the state wakes; its body tells which | wakes |
| the output of a check; one that passes is new or removed | – | – | only while there are none of the state | wakes |
| a node's address, a node is removed | wakes when removed | wakes; its body tells which | – | – |

A poll of a state sleeps through what happens to checks of other states once it has some of its own; one of a state
that no check has wakes for all. So a check is read at once by its service; what `catalog/services` says beyond names
and tags, and `health/state/-` of checks, is only that something changed somewhere. An index that moves backwards (a
snapshot was restored) makes everything dirty.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ctemplate.catalog.consul import marks
from ctemplate.catalog.consul.blocking import Head
from ctemplate.catalog.consul.census import Census
from ctemplate.catalog.consul.client import Client
from ctemplate.catalog.consul.node_reads import shaped
from ctemplate.catalog.consul.polling import parked
from ctemplate.catalog.consul.questions import CHECKS_WRITTEN, NODE_READ, NODES, NOWHERE, SERVICES
from ctemplate.catalog.http import Reply

CRITICAL = "/v1/health/state/critical"
WARNING = "/v1/health/state/warning"


LAG_SECONDS = 5.0
"""Beyond what a server may be behind: one that knows less than what was heard longer ago has forgotten it."""


class Resized(Exception):  # no error: there are more or fewer nodes than this way is for
    """The census must be arranged anew."""


class Sentinels:
    """The five polls of one census."""

    def __init__(self, client: Client, census: Census, *, max_stale: float, fits_nodes: Callable[[int], bool]) -> None:
        """`fits_nodes` tells whether so many nodes could be polled each."""
        self._client = client
        self._census = census
        self._max_stale = max_stale
        self._fits_nodes = fits_nodes
        self._listing: marks.Marks = {}
        self._nodes: marks.Marks = {}
        self._told: dict[str, Callable[[str, Reply], None]] = {
            SERVICES: self._told_services,
            NODES: self._told_nodes,
            CRITICAL: self._told_state,
            WARNING: self._told_state,
            CHECKS_WRITTEN: self._told_written,
        }
        self._first = set(self._told)
        self._heard: dict[str, float] = {}
        """Path → when its index was first heard, in monotonic seconds."""

    async def run(self) -> None:
        """Tell the census of every change, for ever. Raises what polls raise, in a group."""
        self._census.start_anew()
        self._census.catch_up = self._catch_up
        async with asyncio.TaskGroup() as polls:
            for path in self._told:
                polls.create_task(self._watch(path), name=f"sentinel {path}")

    async def _watch(self, path: str) -> None:
        census = self._census
        polled = 0
        async for reply in parked(self._client, path, {}, rule=NODE_READ, max_stale=self._max_stale):
            census.heard[path] = time.time()
            before, polled = polled, _index(reply)
            if polled < before:
                self._go_back(path)
            self._take(path, reply)
            if path in self._first:
                self._begin(path)

    async def _catch_up(self) -> int:
        """Hear all that there is to tell of what happened before this call; return the index of services since.

        The sentinels' questions are asked, rather than their polls waited for: one of what ails sleeps on while the
        index of all checks moves. All services are listed only where any may have been registered.
        """
        census, now = self._census, time.monotonic()
        for path in self._told:
            if path != SERVICES or await self._may_list_others(now):
                self._take(path, await census.fresh(path, NODE_READ, now))
        return census.indexes[SERVICES]

    async def _may_list_others(self, since: float) -> bool:
        """Tell whether the listing of services may differ from the one last heard.

        Its own index is never above that of `NOWHERE`, and a listing of the index that was heard says nothing new. To
        list 10,000 services takes the agent 70 ms.
        """
        nowhere = await self._census.fresh(SERVICES, NODE_READ, since, params=NOWHERE)
        return _index(nowhere) != self._census.indexes.get(SERVICES)

    def _go_back(self, path: str) -> None:
        """Take over whatever is said next, and read everything: a snapshot was restored."""
        self._census.indexes.pop(path, None)
        self._census.mark(self._census.ledger.names)

    def _take(self, path: str, reply: Reply) -> None:
        """Take over a reply, unless it says no more than an earlier one. What ails is compared even so.

        A poll may have slept while `_catch_up` heard more: its index need not fall where a snapshot is restored.
        """
        indexes, index, now = self._census.indexes, _index(reply), time.monotonic()
        if index < indexes.get(path, 0) and now - self._heard[path] > self._max_stale + LAG_SECONDS:
            self._go_back(path)
        known = indexes.get(path, -1)
        if index > known or (index == known and path in (CRITICAL, WARNING)):
            with shaped(reply):
                self._told[path](path, reply)
        if index > known:
            indexes[path], self._heard[path] = index, now

    def _begin(self, path: str) -> None:
        """Once each has answered nothing can change unnoticed: now everything is read."""
        self._first.discard(path)
        if not self._first:
            self._census.begin()

    def _told_services(self, path: str, reply: Reply) -> None:
        before, self._listing = self._listing, marks.of_listing(reply.body)
        if path not in self._first:
            self._census.mark(marks.differing(before, self._listing))
            self._census.mark_somewhere(services=True)

    def _told_nodes(self, path: str, reply: Reply) -> None:
        before, self._nodes = self._nodes, marks.of_nodes(reply.body)
        if self._fits_nodes(len(self._nodes)):
            raise Resized
        self._census.see_nodes(self._nodes, before)
        if path not in self._first and self._nodes.keys() != before.keys():
            self._census.mark_somewhere(services=True)

    def _told_state(self, path: str, reply: Reply) -> None:
        changed = self._census.told_of_checks(path, marks.checks(reply.body))
        if path not in self._first:
            self._census.mark_checks(changed)

    def _told_written(self, path: str, _: Reply) -> None:
        if path not in self._first:
            self._census.mark_somewhere(services=False)


def _index(reply: Reply) -> int:
    return Head.of(reply.headers).index or 0
