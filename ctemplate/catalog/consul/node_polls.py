"""Two parked polls a node, where the nodes are few: they tell exactly which services changed, at once.

`catalog/node/NODE` comes back for every service of that node, `health/node/NODE` for its checks. Neither does when
the node is removed (Consul 1.8.7), nor ever again if the node is then made anew: `catalog/nodes` tells that, and a
node that changed gets new polls.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ctemplate.catalog.consul import marks
from ctemplate.catalog.consul.census import Census
from ctemplate.catalog.consul.client import Client
from ctemplate.catalog.consul.node_reads import checks_on, services_on, shaped
from ctemplate.catalog.consul.polling import parked
from ctemplate.catalog.consul.questions import NODE_READ, NODES
from ctemplate.catalog.consul.sentinels import Resized


class NodePolls:
    """The polls of one census."""

    def __init__(self, client: Client, census: Census, *, max_stale: float, fits_nodes: Callable[[int], bool]) -> None:
        """`fits_nodes` tells whether so many nodes may be polled each."""
        self._client = client
        self._census = census
        self._max_stale = max_stale
        self._fits_nodes = fits_nodes
        self._nodes: marks.Marks = {}
        self._polls: dict[str, list[asyncio.Task[None]]] = {}
        self._awaited: set[str] = set()
        self._begun = False

    async def run(self) -> None:
        """Tell the census of every change, for ever. Raises what polls raise, in a group."""
        census = self._census
        census.start_anew()
        async with asyncio.TaskGroup() as polls:
            async for reply in parked(self._client, NODES, {}, rule=NODE_READ, max_stale=self._max_stale):
                with shaped(reply):
                    nodes = marks.of_nodes(reply.body)
                census.heard[NODES] = time.time()
                if not self._fits_nodes(len(nodes)):
                    raise Resized
                before, self._nodes = self._nodes, nodes
                census.see_nodes(nodes, before)
                for node in marks.differing(before, nodes):
                    if node in before:
                        self._end(node)
                    if node in nodes:
                        self._start(node, polls)
                self._begin()

    def _start(self, node: str, polls: asyncio.TaskGroup) -> None:
        self._census.nodes.look_anew(node)
        self._polls[node] = [
            polls.create_task(self._watch(node, path), name=f"poll {path}")
            for path in (services_on(node), checks_on(node))
        ]
        self._awaited |= {services_on(node), checks_on(node)}

    def _end(self, node: str) -> None:
        for poll in self._polls.pop(node):
            poll.cancel()
        for path in (services_on(node), checks_on(node)):
            self._awaited.discard(path)
            self._census.heard.pop(path, None)
            self._census.ailing.forget(path)
            self._census.untold.forget(path)

    async def _watch(self, node: str, path: str) -> None:
        census = self._census
        of_services = path == services_on(node)
        async for reply in parked(self._client, path, {}, rule=NODE_READ, max_stale=self._max_stale):
            census.heard[path] = time.time()
            with shaped(reply):
                if of_services:
                    census.see_services(node, reply.body)
                elif (checks := census.see_checks(node, reply.body)) is not None:
                    census.told_of_checks(path, checks)
            self._awaited.discard(path)
            self._begin()

    def _begin(self) -> None:
        """Once each has answered nothing can change unnoticed: now everything is read."""
        if not self._begun and not self._awaited:
            self._begun = True
            self._census.begin()
