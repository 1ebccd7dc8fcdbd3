"""What of Consul's answers is compared to learn which services changed, without keeping or decoding the rest.

Pure. A *mark* stands for everything of one service that one body says; two bodies differ for a service if
its marks do. What wakes for what is in `sentinels.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from sys import intern
from typing import TypeAlias, TypeVar

import msgspec

from ctemplate.model import CRITICAL, PASSING, WARNING

Marks: TypeAlias = dict[str, int]
"""Service name in lower case (as Consul looks it up) → its mark. `NODE` stands for the node itself."""
Ailments: TypeAlias = "dict[str, frozenset[Check]]"
"""Node in lower case → the checks there that do not pass."""
NODE = ""
"""A node's own fields and checks: what changes here changes for every service on it."""

SUSPECT = -1
"""The mark of what must be read again whatever a look finds."""
_COUNT_BITS = 20


class Service(msgspec.Struct, rename="pascal"):
    """An instance, as far as it is compared."""

    id: str = msgspec.field(name="ID", default="")
    service: str = ""
    modify_index: int = 0


class Node(msgspec.Struct, rename="pascal"):
    """A node, as far as it is compared."""

    node: str
    address: str = ""
    datacenter: str = ""
    create_index: int = 0

    @property
    def mark(self) -> int:
        """Of a node that was removed and came back too: the polls of the old one hear nothing of the new."""
        return hash((self.address, self.datacenter, self.create_index))


class OnNode(msgspec.Struct, rename="pascal"):
    """A node and what is registered there."""

    node: Node
    services: Mapping[str, Service] | None = None


class Check(msgspec.Struct, rename="pascal", frozen=True):
    """A check, as far as it is compared."""

    check_id: str = msgspec.field(name="CheckID")
    status: str
    node: str = ""
    name: str = ""
    service_id: str = msgspec.field(name="ServiceID", default="")
    service_name: str = ""
    create_index: int = 0

    @property
    def service(self) -> str:
        """The service of which it is, in lower case: `NODE` for the node's own, even where it bears a service's name.

        It may be one that the instance had before, since Consul leaves it until the check is written again.
        """
        return self.service_name.lower() if self.service_id else NODE


_ON_NODE: msgspec.json.Decoder[OnNode | None] = msgspec.json.Decoder(OnNode | None)
_CHECKS = msgspec.json.Decoder(list[Check])
_NODES = msgspec.json.Decoder(list[Node])
_LISTING = msgspec.json.Decoder(dict[str, list[str] | None])


_Key = TypeVar("_Key")


def services(body: bytes) -> OnNode | None:
    """Decode `/v1/catalog/node/NODE`; None where Consul says there is no such node."""
    return _ON_NODE.decode(body)


def of_services(found: OnNode | None) -> Marks:
    """Mark what is registered on a node, by each record's ModifyIndex."""
    if found is None:
        return {}
    marks: Marks = {NODE: found.node.mark}
    for record in (found.services or {}).values():
        _add(marks, record.service, (record.id, record.modify_index))
    return marks


def checks(body: bytes) -> list[Check]:
    """Decode `/v1/health/node/NODE` or `/v1/health/state/STATE`."""
    return _CHECKS.decode(body)


def of_checks(checks: Iterable[Check]) -> Marks:
    """Mark the checks of a node: checks by id, name, status and CreateIndex, not by their outputs.

    A check that went and came back is another one, and its service may have been read in between.
    """
    marks: Marks = {}
    for check in checks:
        _add(marks, check.service, (check.check_id, check.name, check.status, check.service_id, check.create_index))
    return marks


def is_told(status: str) -> bool:
    """Whether there is a sentinel that tells of checks of this status."""
    return status in (CRITICAL, WARNING)


def is_untold(status: str) -> bool:
    """Whether no sentinel tells of checks of this status, and yet it is not passing."""
    return status != PASSING and not is_told(status)


def by_node(checks: Iterable[Check]) -> Ailments:
    """Sort checks by their nodes."""
    found: dict[str, list[Check]] = {}
    for check in checks:
        found.setdefault(check.node.lower(), []).append(check)
    return {node: frozenset(checks) for node, checks in found.items()}


def of_nodes(body: bytes) -> Marks:
    """Mark `/v1/catalog/nodes`: here the keys are nodes as they are spelt."""
    return {node.node: node.mark for node in _NODES.decode(body)}


def of_listing(body: bytes) -> Marks:
    """Mark `/v1/catalog/services`: each name with its tags."""
    return {name.lower(): hash(tuple(sorted(tags or ()))) for name, tags in _LISTING.decode(body).items()}


def _add(marks: Marks, service: str, value: tuple[object, ...]) -> None:
    """Sums do not depend on the order of records; the lowest bits count them."""
    name = intern(service.lower())
    marks[name] = marks.get(name, 0) + (hash(value) << _COUNT_BITS) + 1


def count(mark: int) -> int:
    """Return how many records a mark stands for; very many for `SUSPECT`."""
    return mark & ((1 << _COUNT_BITS) - 1)


def differing(old: Mapping[_Key, object], new: Mapping[_Key, object]) -> set[_Key]:
    """Return the keys that only one has, or that differ."""
    if not old:
        return set(new)  # as at the start, where ten thousand services begin
    return {key for key, _ in old.items() ^ new.items()}


def on_node(old: Marks, new: Marks) -> set[str]:
    """Return the services of a node that differ; all of both if the node itself does."""
    changed = differing(old, new)
    return (old.keys() | new.keys()) - {NODE} if NODE in changed else changed
