"""How services are written down in etcd: a function for each tool that writes them (see `catalog.layout`).

To add one: write a function from pairs to `Found` and put its name into `LAYOUTS`. A path is what follows the
prefix, `SERVICE/ID…`. `tests/catalog/test_etcd_layouts.py` has a table of records for each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import msgspec

from ctemplate.catalog.layout import Found, Layout, Pairs, decode, host_and_port, integer
from ctemplate.model import Instance

FIELDS: Mapping[str, str] = {"address": "address", "port": "port", "weight": "weight", "tags": "tags"}
"""Ours to the names in a confd layout's JSON objects, where `fields` says nothing else."""


def registrator(pairs: Pairs) -> Found:
    """Read `SERVICE/ID` = `ip:port`, as Registrator writes; an ID is `host:container:port[:udp]`."""
    found = Found()
    for path, value in pairs:
        name, slash, identity = path.partition("/")
        if not slash or not identity:
            continue
        place = host_and_port(value.decode(errors="replace"))
        if place is None:
            found.refuse(name, identity, "value is not ip:port")
            continue
        host, colon, _ = identity.partition(":")
        address, port = place
        found.add(Instance(id=identity, name=name, address=address, port=port, node=host if colon else ""))
    return found


def confd(pairs: Pairs, *, fields: Mapping[str, str] = FIELDS) -> Found:
    """Read `SERVICE/ID…` = `host:port`, a bare host, or a JSON object whose keys `fields` names.

    The object's other plain values are the instance's meta.
    """
    found = Found()
    for path, value in pairs:
        name, slash, identity = path.partition("/")
        if not slash or not identity or identity.endswith("/"):
            continue
        text = value.decode(errors="replace").strip()
        if not text.startswith("{"):
            address, port = host_and_port(text) or (text, 0)
            found.add(Instance(id=identity, name=name, address=address, port=port))
            continue
        record = decode(value, _OBJECT)
        if isinstance(record, str):
            found.refuse(name, identity, record)
            continue
        tags = record.get(fields["tags"]) or []
        if isinstance(tags, str):
            tags = tags.split(",")
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            found.refuse(name, identity, "tags is not a list of texts")
            continue
        found.add(
            Instance(
                id=identity,
                name=name,
                address=record.get(fields["address"], ""),
                port=integer(record.get(fields["port"], 0)),
                weight=integer(record.get(fields["weight"], 1)),
                tags=tuple(sorted(tag.strip() for tag in tags)),
                meta=_meta(record, known=fields.values()),
            )
        )
    return found


def skydns(pairs: Pairs) -> Found:
    """Read `SERVICE[/ID…]` = `{"host","port",…}`; the prefix ends in the domain, reversed (`/skydns/local/cluster`)."""
    found = Found()
    for path, value in pairs:
        name, _, identity = path.partition("/")
        record = decode(value, _SKYDNS)
        if isinstance(record, str):
            found.refuse(name, identity or name, record)
            continue
        meta = {key: text for key in ("text", "group") if (text := getattr(record, key))}
        meta["priority"] = str(record.priority)
        # SkyDNS writes a weight of 0 where none was given.
        weight = record.weight or 1
        identity = identity or name
        found.add(Instance(id=identity, name=name, address=record.host, port=record.port, weight=weight, meta=meta))
    return found


def grpc(pairs: Pairs) -> Found:
    """Read `SERVICE/ADDRESS` = `{"Op","Addr","Metadata"}`, as etcd's own Go client writes.

    A SERVICE may hold slashes.
    """
    found = Found()
    for path, value in pairs:
        name, slash, identity = path.rpartition("/")
        if not slash or not name:
            continue
        record = decode(value, _GRPC)
        if isinstance(record, str):
            found.refuse(name, identity, record)
            continue
        if record.op == _GRPC_DELETE:
            continue
        place = host_and_port(record.addr)
        if place is None:
            found.refuse(name, identity, "Addr is not host:port")
            continue
        address, port = place
        data = record.metadata if isinstance(record.metadata, dict) else {}
        found.add(Instance(id=identity, name=name, address=address, port=port, meta=_meta(data)))
    return found


LAYOUTS: Mapping[str, Layout] = {"registrator": registrator, "confd": confd, "skydns": skydns, "grpc": grpc}
"""By the name that the setting `layout` takes."""


def layout(name: str, *, fields: Mapping[str, str]) -> Layout | None:
    """Return the layout of that name; None where there is none, or where it knows none of `fields`."""
    if not fields:
        return LAYOUTS.get(name)
    return partial(confd, fields={**FIELDS, **fields}) if name == "confd" and fields.keys() <= FIELDS.keys() else None


class _SkyDns(msgspec.Struct):
    host: str
    port: int = 0
    priority: int = 0
    weight: int = 0
    text: str = ""
    group: str = ""


class _Grpc(msgspec.Struct, rename="pascal"):
    addr: str
    op: int = 0
    metadata: Any = None


_GRPC_DELETE = 1
_OBJECT: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])
_SKYDNS = msgspec.json.Decoder(_SkyDns)
_GRPC = msgspec.json.Decoder(_Grpc)


def _meta(record: Mapping[str, Any], *, known: Collection[str] = ()) -> dict[str, str]:
    """Return the plain values of `record` that have no other use."""
    plain = {key: value for key, value in record.items() if key not in known and isinstance(value, str | int)}
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in plain.items()}
