"""The Docker engine behind the catalog seam: one reading of all containers answers every query."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

import msgspec

from ctemplate.catalog.docker import labels, registrator
from ctemplate.catalog.docker.api import Api
from ctemplate.catalog.docker.engine import FULL_SECONDS, Engine, Running
from ctemplate.catalog.docker.labels import Labels
from ctemplate.catalog.docker.places import Rules, places
from ctemplate.catalog.docker.services import DATACENTER, Offer, Service, offer, select, status_of
from ctemplate.catalog.peers import Peers
from ctemplate.catalog.whole import Whole
from ctemplate.events import Emit
from ctemplate.model import Answer, Node, Query


class DockerCatalog:
    """One engine. `rules.host` may be empty: then it is the name that the engine gives its machine."""

    def __init__(self, peers: Peers, *, rules: Rules, labels: Labels | None, emit: Emit) -> None:
        self._peers = peers
        self._rules = rules
        self._labels = labels
        self._engine = Engine(Api(peers), emit=emit)
        self._whole = Whole(self._read, answer=select, seconds=FULL_SECONDS, listen=self._engine.listen)

    def watch(self, query: Query) -> AsyncGenerator[Answer, None]:
        """See `Catalog.watch`."""
        return self._whole.watch(query)

    async def confirm(self, query: Query) -> Answer:
        """Answer from a list and an inspection of every container that began after this call."""
        self._engine.doubt()
        return await self._whole.confirm(query)

    async def aclose(self) -> None:
        """See `Catalog.aclose`."""
        await self._whole.aclose()
        self._peers.close()

    def describe(self) -> str:
        """The engine's address."""
        return f"docker {self._peers.describe()}"

    def connections(self) -> int:
        """See `Catalog.connections`."""
        return self._peers.connections()

    async def _read(self) -> Offer:
        return offered(await self._engine.read(), rules=self._rules, labels=self._labels)


def offered(running: Running, *, rules: Rules, labels: Labels | None) -> Offer:
    """Return what all containers that run offer, by `labels` where there are any, else by Registrator's rules."""
    rules = msgspec.structs.replace(rules, host=rules.host or running.host)
    node = Node(name=rules.host, address=rules.ip or rules.host_address, dc=DATACENTER)
    return offer(_services(running, rules, labels), node=node)


def _services(running: Running, rules: Rules, names: Labels | None) -> Iterator[Service]:
    for container in running.containers.values():
        status = status_of(container, was_healthy=container.id in running.once_healthy)
        if names is not None:
            yield from labels.services(container, running.containers, rules, labels=names, status=status)
        else:
            found = places(container, running.containers, rules)
            yield from registrator.services(container, found, rules, status=status)
