"""The shape of a services file (docs/file-catalog.md, docs/services.schema.json): plain data → typed records.

A fault of shape, such as an unknown key, is one of the whole file: the author is told where, and nothing of the
file is used. An instance or a node whose address or port cannot be one is left out alone, as in every catalog.
It neither reads files nor answers queries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ctemplate.catalog.documents import Fault
from ctemplate.catalog.fields import WEIGHT_MAX, address_fault, port_fault
from ctemplate.model import PASSING, STATUSES, BadRecord, Instance, Node
from ctemplate.spelling import suggestion

DATACENTER = "local"
"""What the datacenter is called where the file does not name it."""
DEPTH_MAX = 32
KEYS_MAX = 1_000_000
"""Levels and count of nested keys: a YAML alias inside itself must end somewhere."""


class ServiceFile(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one file says."""

    datacenter: str
    services: dict[str, tuple[Instance, ...]]
    """By name, each sorted by node, then id; also those that are left with no instance."""
    nodes: dict[str, Node]
    keys: dict[str, str]
    bad: tuple[BadRecord, ...]


def shape(data: object) -> ServiceFile:
    """Return what `data`, a parsed document, says. Raises `Fault` with the path of the key that is wrong."""
    top = _table(data, "the file", known=("datacenter", "services", "nodes", "keys"))
    if not top.keys() & {"services", "nodes", "keys"}:
        raise Fault("has none of `services`, `nodes` and `keys`; write `services: {}` if there are really none")
    bad: list[BadRecord] = []
    datacenter = _text(top.get("datacenter", DATACENTER), "datacenter")
    nodes = dict(_nodes(_table(top.get("nodes", {}), "nodes"), datacenter, bad))
    services = {
        name: _instances(name, entries, nodes, datacenter, bad)
        for name, entries in _table(top.get("services", {}), "services").items()
    }
    _refuse_twins(instance for instances in services.values() for instance in instances)
    keys = _keys(_table(top.get("keys", {}), "keys"))
    return ServiceFile(datacenter=datacenter, services=services, nodes=nodes, keys=keys, bad=tuple(bad))


def _nodes(table: dict[str, Any], datacenter: str, bad: list[BadRecord]) -> Iterator[tuple[str, Node]]:
    for name, value in table.items():
        where = f"nodes.{name}"
        entry = _table(value, where, known=("address", "meta"))
        fault = address_fault(entry["address"]) if "address" in entry else None
        meta = _texts(entry.get("meta", {}), f"{where}.meta")
        if fault:
            bad.append(BadRecord(name="", node=name, id="", reason=fault))
        else:
            yield name, Node(name=name, address=entry.get("address", ""), meta=meta, dc=datacenter)


INSTANCE_KEYS = ("id", "address", "port", "node", "tags", "meta", "status", "weight")


def _instances(
    name: str, entries: object, nodes: dict[str, Node], datacenter: str, bad: list[BadRecord]
) -> tuple[Instance, ...]:
    where = f"services.{name}"
    if not isinstance(entries, list):
        raise Fault(f"{where}: expected a list of instances, found {_kind(entries)}")
    instances = []
    for number, value in enumerate(entries):
        here = f"{where}[{number}]"
        entry = _table(value, here, known=INSTANCE_KEYS)
        node = _text(entry.get("node", ""), f"{here}.node", empty=True)
        node_address = nodes[node].address if node in nodes else ""
        address = entry.get("address")
        address = node_address if address in (None, "") else address
        port = entry.get("port", 0)
        identity = _text(entry["id"], f"{here}.id") if "id" in entry else ""
        instance = Instance(
            id=identity or f"{name}-{address}-{port}",
            name=name,
            address=address,
            port=port,
            node=node,
            node_address=node_address,
            tags=_tags(entry.get("tags", []), f"{here}.tags"),
            meta=_texts(entry.get("meta", {}), f"{here}.meta"),
            status=_status(entry.get("status", PASSING), f"{here}.status"),
            weight=_weight(entry.get("weight", 1), f"{here}.weight"),
            dc=datacenter,
        )
        if fault := address_fault(address) or port_fault(port):
            # Not the default id: it would say the value that cannot be printed.
            bad.append(BadRecord(name=name, node=node, id=identity or here, reason=fault))
        else:
            instances.append(instance)
    return tuple(sorted(instances, key=lambda instance: (instance.node, instance.id)))


def _refuse_twins(instances: Iterable[Instance]) -> None:
    seen = set()
    for instance in instances:
        if (instance.node, instance.id) in seen:
            where = f" on node {instance.node!r}" if instance.node else ""
            raise Fault(
                f"services.{instance.name}: two instances{where} have the id {instance.id!r}; give each its own `id`"
            )
        seen.add((instance.node, instance.id))


def _keys(table: dict[str, Any]) -> dict[str, str]:
    keys: dict[str, str] = {}
    for path, value in _leaves(table, ()):
        if path in keys:
            raise Fault(f"keys: {path!r} is set twice, nested and as a path")
        if len(keys) == KEYS_MAX:
            raise Fault(f"keys: more than {KEYS_MAX:,} keys")
        keys[path] = value
    return dict(sorted(keys.items()))


def _leaves(value: object, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    where = ".".join(("keys", "/".join(path))) if path else "keys"
    if not isinstance(value, dict):
        yield "/".join(path), _text(value, where, empty=True)
        return
    for part, below in _table(value, where).items():
        names = (*path, *part.split("/"))
        if not all(names):
            raise Fault(f"{where}: the key {part!r} has an empty part; write it without a slash at either end")
        if len(names) > DEPTH_MAX:
            raise Fault(f"{where}: more than {DEPTH_MAX} levels of keys")
        yield from _leaves(below, names)


def _status(value: object, where: str) -> str:
    if not isinstance(value, str) or value not in STATUSES:
        raise Fault(f"{where}: expected one of {', '.join(STATUSES)}{suggestion(str(value).lower(), STATUSES)}")
    return value


def _weight(value: object, where: str) -> int:
    # From 1: whoever writes the file can be told that nginx refuses `weight=0`.
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= WEIGHT_MAX:
        raise Fault(f"{where}: expected an integer from 1 to {WEIGHT_MAX}")
    return value


def _tags(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Fault(f"{where}: expected a list of texts, found {_kind(value)}")
    return tuple(sorted({_text(tag, f"{where}[{number}]") for number, tag in enumerate(value)}))


def _texts(value: object, where: str) -> dict[str, str]:
    return {key: _text(text, f"{where}.{key}", empty=True) for key, text in _table(value, where).items()}


def _text(value: object, where: str, *, empty: bool = False) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise Fault(f"{where}: expected text, found {_kind(value)}; put it in quotes if it is meant as text")
    if not value and not empty:
        raise Fault(f"{where}: must not be empty")
    return value


def _table(value: object, where: str, *, known: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Fault(f"{where}: expected keys and values, found {_kind(value)}")
    table = {_text(key, f"{where}: a key"): below for key, below in value.items()}
    for key in table:
        if known and key not in known:
            hint = suggestion(str(key).lower(), known) or f"; known are {', '.join(known)}"
            raise Fault(f"{where}: unknown key {key!r}{hint}")
    return table


_KINDS: dict[type, str] = {
    dict: "keys and values",
    list: "a list",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
}


def _kind(value: object) -> str:
    return "nothing" if value is None else _KINDS.get(type(value), type(value).__name__)
