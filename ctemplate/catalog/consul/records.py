"""Consul's JSON as typed records, and those as our model. What comes in is checked here, once.

A body of the wrong shape is no answer at all (`msgspec.DecodeError`, of which `ValidationError` is one); a
single record whose address, port or weight cannot be what it claims is left out and named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from sys import intern
from typing import cast

import msgspec

from ctemplate.catalog.consul import marks
from ctemplate.catalog.fields import address_fault, port_fault, weight_fault
from ctemplate.model import (
    CRITICAL,
    MAINTENANCE,
    PASSING,
    STATUSES,
    WARNING,
    Answer,
    BadRecord,
    Check,
    Instance,
    KeyValue,
    Node,
    NodeServices,
    ServiceName,
)


class _Struct(msgspec.Struct, rename="pascal"):
    """Consul writes `null` for an empty list or map, and leaves out what an older release does not know."""


class _Weights(_Struct):
    passing: int = 1
    warning: int = 1


class _Node(marks.Node):
    meta: dict[str, str] | None = None


class _Service(marks.Service, kw_only=True):
    id: str = msgspec.field(name="ID")
    service: str
    port: int
    address: str = ""
    tags: list[str] | None = None
    meta: dict[str, str] | None = None
    weights: _Weights | None = None


class _Entry(_Struct):
    node: _Node
    service: _Service
    checks: list[marks.Check] | None = None


class OnNode(marks.OnNode):
    """A node and what is registered there, as `marks` compares it and as it makes instances."""

    node: _Node
    services: dict[str, _Service] | None = None


class _KeyValue(_Struct):
    key: str
    value: bytes | None = None  # msgspec undoes the base64


_SEVERITIES = {status: STATUSES.index(status) for status in (PASSING, WARNING)}
_CRITICAL = STATUSES.index(CRITICAL)

_known_address_fault = lru_cache(maxsize=10_000)(address_fault)
"""Thousands of instances have the addresses of a few hundred nodes."""

_PLACE = attrgetter("node", "id")

_ENTRIES = msgspec.json.Decoder(list[_Entry])
_LISTING = msgspec.json.Decoder(dict[str, list[str] | None])
_NODES = msgspec.json.Decoder(list[_Node])
_ON_NODE: msgspec.json.Decoder[OnNode | None] = msgspec.json.Decoder(OnNode | None)
_NAMES = msgspec.json.Decoder(list[str])
_PAIRS = msgspec.json.Decoder(list[_KeyValue])


def instances(body: bytes, *, keep_order: bool) -> Answer:
    """Decode `/v1/health/service/NAME`. `keep_order`: it came sorted by round trip time."""
    found: list[Instance] = []
    bad: list[BadRecord] = []
    for entry in _ENTRIES.decode(body):
        _add(found, bad, entry.service, _node(entry.node), _checks(entry.checks or ()))
    if not keep_order:
        found.sort(key=_PLACE)
    return Answer(tuple(found), _sorted(bad))


def services(body: bytes) -> Answer:
    """Decode `/v1/catalog/services`."""
    listing = _LISTING.decode(body)
    return Answer(tuple(ServiceName(intern(name), _tags(listing[name])) for name in sorted(listing)))


def nodes(body: bytes, *, keep_order: bool) -> Answer:
    """Decode `/v1/catalog/nodes`."""
    found: list[Node] = []
    bad: list[BadRecord] = []
    for record in _NODES.decode(body):
        if fault := _node_fault(record):
            bad.append(BadRecord("", record.node, "", fault))
        else:
            found.append(_node(record))
    if not keep_order:
        found.sort(key=lambda node: node.name)
    return Answer(tuple(found), _sorted(bad))


def node(body: bytes, checks_body: bytes) -> Answer:
    """Decode `/v1/catalog/node/NAME` and `/v1/health/node/NAME`; None where Consul says there is no such node."""
    registered = on_node(body)
    if registered is None:
        return Answer(None)
    found, bad = instances_on(registered, marks.checks(checks_body))
    found.sort(key=lambda i: (i.name, i.id))
    if fault := _node_fault(registered.node):
        bad.append(BadRecord("", registered.node.node, "", fault))
        registered.node.address = ""
    return Answer(NodeServices(_node(registered.node), tuple(found)), _sorted(bad))


def on_node(body: bytes) -> OnNode | None:
    """Decode `/v1/catalog/node/NAME`; None where Consul says there is no such node."""
    return _ON_NODE.decode(body)


def instances_on(
    registered: OnNode | None, checks: Iterable[marks.Check], *, lean: bool = False
) -> tuple[list[Instance], list[BadRecord]]:
    """Return what is registered on a node, in no order: a part of many answers. `lean`: without `checks`.

    Then it is enough if those are there that do not pass.
    """
    found: list[Instance] = []
    bad: list[BadRecord] = []
    if registered is not None:
        _add_node(found, bad, registered, checks, lean=lean)
    return found, bad


def without_checks(answer: Answer) -> Answer:
    """Return an answer on a service as a lean census tells it."""
    found = cast(tuple[Instance, ...], answer.value)
    return Answer(tuple([msgspec.structs.replace(instance, all_checks=None) for instance in found]), answer.bad)


def of_parts(found: list[Instance], bad: list[BadRecord]) -> Answer:
    """Return the answer on one service whose parts were read node by node: equal to that of `instances`."""
    return Answer(tuple(sorted(found, key=_PLACE)), _sorted(bad))


def _add_node(
    found: list[Instance], bad: list[BadRecord], record: OnNode, checks: Iterable[marks.Check], *, lean: bool
) -> None:
    by_service: dict[str, list[marks.Check]] = {}
    for check in checks:
        by_service.setdefault(check.service_id.lower(), []).append(check)  # Consul looks it up in any case, too
    node, general = _node(record.node), _checks(by_service.get("", ()))
    for service in (record.services or {}).values():
        own = _checks(by_service.get(service.id.lower(), ())) if service.id else ()
        _add(found, bad, service, node, general + own, lean=lean)


def datacenters(body: bytes) -> Answer:
    """Decode `/v1/catalog/datacenters`."""
    return Answer(tuple(sorted(_NAMES.decode(body))))


def value(body: bytes) -> Answer:
    """Decode `/v1/kv/KEY`. Raises `UnicodeDecodeError` for a value that is no text: no template can print it."""
    records = _PAIRS.decode(body)
    if len(records) != 1:
        raise msgspec.ValidationError(f"Expected one key, got {len(records)}")
    return Answer((records[0].value or b"").decode())


def pairs(body: bytes) -> dict[str, bytes | None]:
    """Decode `/v1/kv/PREFIX?recurse` as it is: whole keys and raw values."""
    return {record.key: record.value for record in _PAIRS.decode(body)}


def tree(body: bytes, prefix: str) -> Answer:
    """Decode `/v1/kv/PREFIX?recurse`: the keys below `prefix` by the rest of their path, folder markers left out."""
    return below(prefix, pairs(body))


def below(prefix: str, pairs: Mapping[str, bytes | None]) -> Answer:
    """Return the keys below `prefix` by the rest of their path, sorted, folder markers left out."""
    found: list[KeyValue] = []
    bad: list[BadRecord] = []
    for key, value in pairs.items():
        path = key.removeprefix(prefix)
        if not key.startswith(prefix) or not path or path.endswith("/"):
            continue
        try:
            found.append(KeyValue(path, (value or b"").decode()))
        except UnicodeDecodeError:
            bad.append(BadRecord(key, "", "", "value is not UTF-8 text"))
    found.sort(key=lambda pair: pair.path)
    return Answer(tuple(found), _sorted(bad))


def status_of(checks: Sequence[Check]) -> str:
    """Return the worst status of `checks`. A status that Consul does not document counts as critical."""
    worst = 0
    for check in checks:
        if check.status != PASSING and _is_maintenance(check.id):
            return MAINTENANCE
        worst = max(worst, _SEVERITIES.get(check.status, _CRITICAL))
    return STATUSES[worst]


def _is_maintenance(check: str) -> bool:
    return check == "_node_maintenance" or check.startswith("_service_maintenance:")


def _checks(records: Sequence[marks.Check]) -> tuple[Check, ...]:
    """Return checks in one order, the node's own first, whichever endpoint they came from."""
    if len(records) > 1:
        records = sorted(records, key=lambda check: (check.service_id != "", check.check_id))
    # The node's own are on every node, as `serfHealth`, and held once; an instance's is one of its own.
    return tuple(
        [Check(c.check_id if c.service_id else intern(c.check_id), intern(c.name), intern(c.status)) for c in records]
    )


def _add(
    found: list[Instance],
    bad: list[BadRecord],
    service: _Service,
    node: Node,
    checks: tuple[Check, ...],
    *,
    lean: bool = False,
) -> None:
    status = status_of(checks)
    weights = service.weights
    weight = 1 if weights is None else weights.warning if status == WARNING else weights.passing
    address = service.address or node.address
    fault = _known_address_fault(address) or port_fault(service.port) or weight_fault(weight) or _node_fault(node)
    name = intern(service.service)
    if fault:
        bad.append(BadRecord(name, node.name, service.id, fault))
        return
    found.append(
        Instance(
            id=service.id or name,
            name=name,
            address=intern(address),
            port=service.port,
            node=node.name,
            node_address=node.address,
            tags=_tags(service.tags) if service.tags else (),
            meta=service.meta or {},
            status=status,
            weight=weight,
            all_checks=None if lean else checks,
            dc=node.dc,
        )
    )


def _node(record: _Node) -> Node:
    return Node(
        name=intern(record.node),
        address=intern(record.address),
        meta=record.meta or {},
        dc=intern(record.datacenter),
    )


def _node_fault(record: _Node | Node) -> str | None:
    fault = _known_address_fault(record.address) if record.address else None
    return f"node {fault}" if fault else None


def _tags(tags: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(sorted(map(intern, tags))) if tags else ()


def _sorted(bad: list[BadRecord]) -> tuple[BadRecord, ...]:
    return tuple(sorted(bad, key=lambda record: (record.name, record.node, record.id)))
