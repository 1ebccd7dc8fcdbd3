"""Very many services read at once, node by node: one or two reads a node, for what by name is one a service.

Only here do parts from several nodes make an answer: of a service of which nothing changed from before the first
read to after the last, and never an empty one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from ctemplate.catalog.consul import marks, records
from ctemplate.catalog.consul.node_reads import LOADERS, checks_on, each, is_filtered, services_on, shaped
from ctemplate.catalog.consul.questions import NODE_READ, SERVICES
from ctemplate.model import Answer, BadRecord, Instance

if TYPE_CHECKING:
    from ctemplate.catalog.consul.census import Census


async def read_all(census: Census, names: Mapping[str, float]) -> None:
    """Read every node, and answer for the services of which nothing changed meanwhile; the others stay marked.

    `names`: in lower case, each with when what it is read for happened, in monotonic seconds.
    """
    sent, since, before, lean = time.monotonic(), max(names.values()), census.indexes[SERVICES], census.lean
    parts = Parts(names)
    ailing = census.ailing.checks | census.untold.checks
    on_nodes = marks.by_node(ailing)

    async def read_node(node: str) -> None:
        services = await census.fresh(services_on(node), NODE_READ, since)
        parts.whole = parts.whole and not is_filtered(services)
        with shaped(services):
            registered = records.on_node(services.body)
        census.see_services(node, services.body, registered, known=parts.names)
        # After the services, so that no instance is seen without the checks it was registered with.
        checks = on_nodes.get(node.lower(), ()) if lean else await read_checks(node)
        parts.add(*records.instances_on(registered, checks, lean=lean))
        census.nodes.read += 1

    async def read_checks(node: str) -> list[marks.Check]:
        reply = await census.fresh(checks_on(node), NODE_READ, since)
        parts.whole = parts.whole and not is_filtered(reply)
        with shaped(reply):
            checks = marks.checks(reply.body)
        census.see_checks(node, reply.body, checks, known=parts.names)
        return checks

    async def catch_up() -> int:
        if lean:
            census.told_untold(await census.ask_for_untold(since))
        return await census.catch_up()

    census.nodes.read = 0  # whatever was broken off
    await each(census.nodes.in_turn, read_node, at_once=LOADERS)
    async with asyncio.TaskGroup() as group:
        caught_up = group.create_task(catch_up(), name="census catches up")
        await asyncio.sleep(0)  # the agent is asked before we are busy ourselves
        answers = parts.answers()
    if caught_up.result() != before:
        await census.look_everywhere(services=True, since=time.monotonic())
    rest: dict[str, float] = {}
    for name, answer in answers.items():
        census.dirt.settle(name, answer, sent=sent, now=time.monotonic())
        if name in census.dirt:
            continue
        if not parts.whole or not (answer.value or answer.bad):
            rest[name] = time.monotonic()  # that a service has no instance is only ever said by a read of it
        else:
            if not lean:
                census.hold_against_polls(name, answer, since=since)
            census.note(name, answer, sent=sent)
    census.mark_ill(ailing ^ (census.ailing.checks | census.untold.checks))  # of what bears another name
    await census.read_each(rest)
    census.nodes.read = 0


class Parts:
    """What was found of each service on the nodes that were read so far."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = frozenset(names)
        """In lower case. (To subtract a dictionary's keys from a set takes as long as there are keys.)"""
        self.whole = True
        """Whether the token may see all that there is."""
        self._found: dict[str, tuple[list[Instance], list[BadRecord]]] = {name: ([], []) for name in names}

    def add(self, instances: Iterable[Instance], bad: Iterable[BadRecord]) -> None:
        """Take what is on one node."""
        for instance in instances:
            if (part := self._found.get(instance.name) or self._found.get(instance.name.lower())) is not None:
                part[0].append(instance)
        for record in bad:
            if (part := self._found.get(record.name.lower())) is not None:
                part[1].append(record)

    def answers(self) -> dict[str, Answer]:
        """Return the answer on each service, as far as nothing changed since the first read, in the order of names."""
        return {name: records.of_parts(*parts) for name, parts in self._found.items()}
