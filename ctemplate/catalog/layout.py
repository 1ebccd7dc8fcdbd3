"""What a layout is: how a tree of keys says which instances a service has. One pure function each.

etcd and ZooKeeper hold paths and values, not services; each tool that registers there has its own way of
writing an instance down. A layout turns `(path, value)` pairs into what is `Found`: instances, each field checked,
and the records that were left out. It reads nothing and knows no server.

A path is `SERVICE/ID…`, relative to the prefix below which the services stand: whatever a layout takes for a service's
name, all keys of one service are alike up to the first slash. What belongs to no service is skipped; what should be an
instance and cannot be one goes to `Found.refuse`, which keeps it visible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypeVar

import msgspec

from ctemplate.catalog.fields import address_fault, port_fault, weight_fault
from ctemplate.model import Answer, BadRecord, Instance, ServiceName

Pairs: TypeAlias = Iterable[tuple[str, bytes]]
T = TypeVar("T")


class Found:
    """The instances by service, and what was left out. Compares by what it holds."""

    def __init__(self) -> None:
        self._instances: dict[str, list[Instance]] = {}
        self._bad: dict[str, list[BadRecord]] = {}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Found):
            return NotImplemented
        return self._instances == other._instances and self._bad == other._bad

    __hash__ = None  # type: ignore[assignment]  # it is filled step by step

    @classmethod
    def together(cls, parts: Iterable[Found]) -> Found:
        """Return what several hold, of which no two have a service in common."""
        whole = cls()
        for part in parts:
            whole._instances.update(part._instances)
            whole._bad.update(part._bad)
        return whole

    def add(self, instance: Instance) -> None:
        """Take `instance`, or leave it out where address, port or weight cannot be what they claim."""
        fault = address_fault(instance.address) or port_fault(instance.port) or weight_fault(instance.weight)
        if fault:
            self.refuse(instance.name, instance.id, fault, node=instance.node)
        else:
            self._instances.setdefault(instance.name, []).append(instance)

    def refuse(self, service: str, identity: str, reason: str, *, node: str = "") -> None:
        """Leave a record out, for `reason`, which holds no value."""
        self._bad.setdefault(service, []).append(BadRecord(service, node, identity, reason))

    def service(self, name: str) -> Answer:
        """Return the instances of one service, sorted by node, then id; none for one that is not there."""
        instances = sorted(self._instances.get(name, ()), key=lambda i: (i.node, i.id))
        return Answer(tuple(instances), tuple(sorted(self._bad.get(name, ()), key=lambda bad: (bad.node, bad.id))))

    def services(self) -> Answer:
        """Return the services that have an instance, with the tags of all of them."""
        listing = (
            ServiceName(name, tuple(sorted({tag for instance in instances for tag in instance.tags})))
            for name, instances in sorted(self._instances.items())
        )
        return Answer(tuple(listing))


Layout: TypeAlias = Callable[[Pairs], Found]


def host_and_port(text: str) -> tuple[str, int] | None:
    """Split `host:port` or `[v6]:port`; None where there is no port. What host and port may be is for `Found.add`."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()):
        return None
    return (host[1:-1] if host.startswith("[") and host.endswith("]") else host), int(port)


def integer(value: Any) -> Any:
    """Return the number that a text of plain digits is; anything else as it is, for `Found.add` to judge."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def decode(value: bytes, decoder: msgspec.json.Decoder[T]) -> T | str:
    """Return the record that `value` holds, or why it holds none, without the value."""
    try:
        return decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        return f"value is not the JSON of this layout: {fault}"
