"""All that is registered on a node, with its checks: the answer on a node, and a part of those on many services.

Consul says it in two answers that are documented, `/v1/catalog/node/NODE` and `/v1/health/node/NODE`, and in one of one
moment, which its own web pages show: `/v1/internal/ui/node/NODE`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from ctemplate.catalog.consul import marks
from ctemplate.catalog.consul.records import (
    CheckRecord,
    NodeRecord,
    Record,
    ServiceRecord,
    add_instance,
    checks_of,
    in_order,
    node_fault,
    node_of,
)
from ctemplate.model import Answer, BadRecord, Instance, NodeServices


class _Registered(ServiceRecord):
    modify_index: int = 0


class _Checked(CheckRecord):
    service_name: str = ""
    create_index: int = 0


class _Registrations(Record):
    node: NodeRecord
    services: dict[str, ServiceRecord] | None = None


class _Whole(NodeRecord):
    services: list[_Registered] | None = None
    checks: list[_Checked] | None = None


_REGISTRATIONS: msgspec.json.Decoder[_Registrations | None] = msgspec.json.Decoder(_Registrations | None)
_CHECKS = msgspec.json.Decoder(list[CheckRecord])
_WHOLE = msgspec.json.Decoder(_Whole)


class Part(NamedTuple):
    """What one node adds to the answers on services, in no order, and what it is compared by later."""

    instances: list[Instance]
    bad: list[BadRecord]
    services: marks.Marks
    checks: marks.Marks


def node(body: bytes, checks_body: bytes) -> Answer:
    """Decode both answers; None where Consul says there is no such node."""
    record = _REGISTRATIONS.decode(body)
    if record is None:
        return Answer(None)
    found: list[Instance] = []
    bad: list[BadRecord] = []
    _add(found, bad, record.node, (record.services or {}).values(), _CHECKS.decode(checks_body))
    found.sort(key=lambda i: (i.name, i.id))
    if fault := node_fault(record.node):
        bad.append(BadRecord("", record.node.node, "", fault))
        record.node.address = ""
    return Answer(NodeServices(node_of(record.node), tuple(found)), in_order(bad))


def of_both(body: bytes, checks_body: bytes) -> Part:
    """Decode both answers as a part."""
    part = Part([], [], marks.of_services(body), marks.of_checks(marks.checks(checks_body)))
    record = _REGISTRATIONS.decode(body)
    if record is not None:
        _add(part.instances, part.bad, record.node, (record.services or {}).values(), _CHECKS.decode(checks_body))
    return part


def of_whole(body: bytes, *, mark: int, datacenter: str) -> Part:
    """Decode the one answer as a part; what it does not say is the node's own mark, and its datacenter."""
    record = _WHOLE.decode(body)
    record.datacenter = datacenter
    services, checks = record.services or (), record.checks or ()
    part = Part([], [], marks.of_registered(services, node=mark), marks.of_checks(checks))
    _add(part.instances, part.bad, record, services, checks)
    return part


def joined(found: list[Instance], bad: list[BadRecord]) -> Answer:
    """Return the answer on one service whose parts were read node by node: equal to that of `records.instances`."""
    return Answer(tuple(sorted(found, key=lambda i: (i.node, i.id))), in_order(bad))


def _add(
    found: list[Instance],
    bad: list[BadRecord],
    record: NodeRecord,
    services: Iterable[ServiceRecord],
    checks: Sequence[CheckRecord],
) -> None:
    by_service: dict[str, list[CheckRecord]] = {}
    for check in checks:
        by_service.setdefault(check.service_id, []).append(check)
    node, general = node_of(record), checks_of(by_service.get("", ()))
    for service in services:
        own = checks_of(by_service.get(service.id, ())) if service.id else ()
        add_instance(found, bad, service, node, general + own)
