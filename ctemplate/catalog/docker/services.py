"""What all containers together offer, and what each query asks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from ctemplate.catalog.asking import refuse_options
from ctemplate.catalog.docker.containers import Container
from ctemplate.catalog.docker.places import Place
from ctemplate.catalog.fields import address_fault, port_fault
from ctemplate.errors import Refused
from ctemplate.model import (
    CRITICAL,
    PASSING,
    Answer,
    BadRecord,
    Check,
    Instance,
    Kind,
    Node,
    NodeServices,
    Query,
    ServiceName,
)

DATACENTER = "local"
"""An engine knows of none; the file catalog calls its own so too."""
HEALTH_CHECK = "docker-health"
"""The id of the check that a HEALTHCHECK is."""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One port of one container, by the name that it has as a service."""

    id: str
    name: str
    tags: tuple[str, ...] = ()
    """Sorted."""
    meta: dict[str, str] = {}
    weight: int = 1
    place: Place
    container: Container
    status: str = PASSING

    @property
    def fault(self) -> str | None:
        """Why it cannot be an instance; None when it can. Never a value."""
        return self.place.fault or address_fault(self.place.address) or port_fault(self.place.port)


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one engine's containers offer."""

    node: Node
    services: tuple[Service, ...]
    """Sorted by name, then id, those with a fault too."""
    instances: Mapping[str, tuple[Instance, ...]]
    """By service name, each sorted by id; also those that are left with none."""
    bad: tuple[BadRecord, ...]


def offer(services: Iterable[Service], *, node: Node) -> Offer:
    """Sort out what can be an instance."""
    found = tuple(sorted(services, key=lambda service: (service.name, service.id)))
    instances: dict[str, list[Instance]] = {service.name: [] for service in found}
    bad: list[BadRecord] = []
    seen: set[str] = set()
    for service in found:
        fault = service.fault or ("another container's service has the same id" if service.id in seen else None)
        seen.add(service.id)
        if fault:
            bad.append(BadRecord(service.name, node.name, service.id, fault))
        else:
            instances[service.name].append(_instance(service, node))
    return Offer(
        node=node, services=found, instances={name: tuple(of) for name, of in instances.items()}, bad=tuple(bad)
    )


def status_of(container: Container, *, was_healthy: bool) -> str:
    """Return what a container's health amounts to: paused, starting and unhealthy ones get no request.

    `was_healthy`: this run of it has been. The engine begins all health checks anew when it restarts below
    containers that go on (`live-restore`): what was healthy stays so until a check says otherwise.
    """
    if container.paused or container.health == "unhealthy":
        return CRITICAL
    return CRITICAL if container.health == "starting" and not was_healthy else PASSING


def select(offered: Offer, query: Query) -> Answer:
    """Answer `query`. Raises `Refused` for what an engine does not know."""
    refuse_options(query, "near", "filter", by="a Docker engine")
    if query.dc not in ("", DATACENTER):
        raise Refused(f"{query}: a Docker engine knows only datacenter {DATACENTER!r}")
    if query.kind not in _ANSWERS:
        raise Refused(
            f"{query}: a Docker engine holds no keys; ask another catalog for them: key(…, catalog=NAME), or file()"
        )
    return _ANSWERS[query.kind](offered, query.name)


def _service(offered: Offer, name: str) -> Answer:
    bad = tuple(record for record in offered.bad if record.name == name)
    return Answer(offered.instances.get(name, ()), bad)


def _services(offered: Offer, name: str) -> Answer:
    names = (
        ServiceName(service, tuple(sorted({tag for instance in instances for tag in instance.tags})))
        for service, instances in sorted(offered.instances.items())
        if instances
    )
    return Answer(tuple(names))


def _nodes(offered: Offer, name: str) -> Answer:
    return Answer((offered.node,))


def _node(offered: Offer, name: str) -> Answer:
    if name != offered.node.name:
        return Answer(None)
    found = (instance for _, instances in sorted(offered.instances.items()) for instance in instances)
    return Answer(NodeServices(offered.node, tuple(found)), offered.bad)


def _datacenters(offered: Offer, name: str) -> Answer:
    return Answer((DATACENTER,))


_ANSWERS: Mapping[Kind, Callable[[Offer, str], Answer]] = {
    Kind.SERVICE: _service,
    Kind.SERVICES: _services,
    Kind.NODES: _nodes,
    Kind.NODE: _node,
    Kind.DATACENTERS: _datacenters,
}


def _instance(service: Service, node: Node) -> Instance:
    health = service.container.health
    return Instance(
        id=service.id,
        name=service.name,
        address=service.place.address,
        port=service.place.port,
        node=node.name,
        node_address=node.address,
        tags=service.tags,
        meta=service.meta,
        status=service.status,
        weight=service.weight,
        all_checks=(Check(HEALTH_CHECK, f"HEALTHCHECK of {service.container.name}", service.status),) if health else (),
        dc=DATACENTER,
    )
