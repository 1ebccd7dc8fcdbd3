"""Very many services read at once, node by node: a request a node instead of one a service.

Parts from several nodes make an answer only for services of which nothing changed meanwhile: an instance that moves
from a node not read yet to one already read would be seen on neither. And that a service has no instance is only ever
said by a read of the service.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from ctemplate.catalog.consul import node_records
from ctemplate.catalog.consul.node_reads import (
    LOADERS,
    all_on,
    checks_on,
    each,
    found,
    is_filtered,
    services_on,
    shaped,
)
from ctemplate.catalog.consul.node_records import Part
from ctemplate.catalog.consul.nodes import Nodes
from ctemplate.catalog.http import Reply
from ctemplate.errors import Refused
from ctemplate.model import Answer, BadRecord, Instance


class Everything:
    """What all nodes say of some services."""

    def __init__(
        self,
        names: Iterable[str],
        nodes: Nodes,
        *,
        read: Callable[[str], Awaitable[Reply]],
        see: Callable[[str, Part], None],
    ) -> None:
        """`names` are in lower case. `read` returns what is at a path, a 404 too, as `fresh` does and not older than is
        asked for; `see` is told of each node's part.
        """
        self._parts: dict[str, tuple[list[Instance], list[BadRecord]]] = {name: ([], []) for name in names}
        self._nodes = nodes
        self._read = read
        self._see = see
        self.is_whole = True
        """Whether the token may see all of it."""

    async def load(self) -> None:
        """Read every node."""
        self._nodes.read = 0  # whatever was broken off
        await each(self._nodes.in_turn, self._read_node, at_once=LOADERS)
        self._nodes.read = 0

    def answers(self) -> dict[str, Answer]:
        """Put the parts together."""
        return {name: node_records.joined(*parts) for name, parts in self._parts.items()}

    async def _read_node(self, node: str) -> None:
        part = await self._part(node)
        self._see(node, part)
        for instance in part.instances:
            if (parts := self._parts.get(instance.name.lower())) is not None:
                parts[0].append(instance)
        for record in part.bad:
            if (parts := self._parts.get(record.name.lower())) is not None:
                parts[1].append(record)
        self._nodes.read += 1

    async def _part(self, node: str) -> Part:
        mark = self._nodes.mark(
            node
        )  # before it is read: the node may be another by then, and differs so from its mark
        reply = await self._whole(node)
        if reply is None:
            services = await self._documented(services_on(node))
            # After the services, so that no instance is seen without the checks it was registered with.
            checks = await self._documented(checks_on(node))
            with shaped(services):
                return node_records.of_both(services.body, checks.body)
        self.is_whole = self.is_whole and not is_filtered(reply)
        with shaped(reply):
            return node_records.of_whole(reply.body, mark=mark, datacenter=self._nodes.datacenter)

    async def _whole(self, node: str) -> Reply | None:
        """Ask what is not documented; None where there is no such node, or a proxy does not let that through."""
        try:
            reply = await self._read(all_on(node))
        except Refused:
            return None
        return reply if reply.status == 200 else None

    async def _documented(self, path: str) -> Reply:
        reply = found(path, await self._read(path))
        self.is_whole = self.is_whole and not is_filtered(reply)
        return reply
