"""How services are written down in ZooKeeper: a function for each tool that writes them (see `catalog.layout`).

To add one: write a function from pairs to `Found` and put its name into `LAYOUTS`. A pair is one child of a
service's node, its path `SERVICE/CHILD`. `tests/catalog/test_zookeeper_layouts.py` has a table of records for each.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from ctemplate.catalog.layout import Found, Layout, Pairs, decode
from ctemplate.model import CRITICAL, MAINTENANCE, PASSING, Instance


def curator(pairs: Pairs, *, spring: bool = False) -> Found:
    """Read the records of Curator's service discovery, by their id; `spring`: with what Spring Cloud adds.

    Spring keeps a status in its metadata and routes to `UP` alone.
    """
    found = Found()
    for path, value in pairs:
        name, _, child = path.partition("/")
        record = decode(value, _CURATOR)
        if isinstance(record, str):
            found.refuse(name, child, record)
            continue
        meta = _curator_meta(record.payload)
        if record.ssl_port is not None:
            meta["ssl_port"] = str(record.ssl_port)
        status = PASSING if record.enabled is not False else MAINTENANCE
        if spring and (said := meta.get("instance_status", "UP")) != "UP":
            status = MAINTENANCE if said == "OUT_OF_SERVICE" else CRITICAL
        port = record.ssl_port if record.port is None else record.port
        found.add(Instance(id=record.id, name=name, address=record.address, port=port or 0, meta=meta, status=status))
    return found


def serverset(pairs: Pairs, *, endpoint: str = "") -> Found:
    """Read `member_N`, as Finagle and Aurora write; `endpoint` is the additional one to take, by its name.

    Only a member that is ALIVE serves.
    """
    found = Found()
    for path, value in pairs:
        name, _, child = path.partition("/")
        if not child.startswith("member_"):
            continue
        record = decode(value, _MEMBER)
        if isinstance(record, str):
            found.refuse(name, child, record)
            continue
        places = record.additional_endpoints or {}
        place = places.get(endpoint) if endpoint else record.service_endpoint
        if place is None:
            found.refuse(name, child, "has no endpoint of the name that is set")
            continue
        meta = {f"endpoint_{key}": f"{other.host}:{other.port}" for key, other in places.items()}
        if record.shard is not None:
            meta["shard"] = str(record.shard)
        status = PASSING if record.status == "ALIVE" else CRITICAL
        found.add(Instance(id=child, name=name, address=place.host, port=place.port, meta=meta, status=status))
    return found


def nerve(pairs: Pairs) -> Found:
    """Read `ID_SEQUENCE`, as SmartStack's nerve writes; with path encoding the record stands in the child's name.

    A nerve that crashed and restarted leaves its old child until the session ends: one of each host, port and name
    counts, that with the highest sequence.
    """
    found = Found()
    latest: dict[tuple[object, ...], tuple[int, Instance]] = {}
    for path, value in pairs:
        name, _, child = path.partition("/")
        match = _NERVE_CHILD.fullmatch(child)
        if match is None:
            continue
        encoded = _decode_path(match[1])
        record = decode(value if encoded is None else encoded, _NERVE)
        if isinstance(record, str):
            found.refuse(name, child, record)
            continue
        meta = dict(record.labels or {})
        if record.haproxy_server_options:
            meta["haproxy_server_options"] = record.haproxy_server_options
        instance = Instance(
            id=f"{record.name or record.host}:{record.port}",
            name=name,
            address=record.host,
            port=record.port,
            node=record.name,
            weight=1 if record.weight is None else record.weight,
            meta=meta,
        )
        key, sequence = (name, record.host, record.port, record.name), int(match[2])
        if key not in latest or latest[key][0] < sequence:
            latest[key] = (sequence, instance)
    for _, instance in latest.values():
        found.add(instance)
    return found


def registrator(pairs: Pairs) -> Found:
    """Read `SERVICE/ip:port` = Registrator's own JSON."""
    found = Found()
    for path, value in pairs:
        name, _, child = path.partition("/")
        record = decode(value, _REGISTRATOR)
        if isinstance(record, str):
            found.refuse(name, child, record)
            continue
        found.add(
            Instance(
                id=child,
                name=name,
                address=record.ip,
                port=record.public_port,
                tags=tuple(sorted(record.tags or ())),
                meta=record.attrs or {},
            )
        )
    return found


LAYOUTS: Mapping[str, Layout] = {
    "curator": curator,
    "spring": partial(curator, spring=True),
    "serverset": serverset,
    "nerve": nerve,
    "registrator": registrator,
}
"""By the name that the setting `layout` takes."""


def layout(name: str, *, endpoint: str) -> Layout | None:
    """Return the layout of that name; None where there is none, or where it knows no `endpoint`."""
    if not endpoint:
        return LAYOUTS.get(name)
    return partial(serverset, endpoint=endpoint) if name == "serverset" else None


class _Curator(msgspec.Struct, rename="camel"):
    id: str
    address: str
    port: int | None = None
    ssl_port: int | None = None
    payload: Any = None
    enabled: bool | None = None
    """Absent in releases before 2.11."""


class _Endpoint(msgspec.Struct):
    host: str
    port: int


class _Member(msgspec.Struct, rename="camel"):
    service_endpoint: _Endpoint
    additional_endpoints: dict[str, _Endpoint] | None = None
    status: str = "ALIVE"
    shard: int | None = None


class _Nerve(msgspec.Struct):
    host: str
    port: int
    name: str = ""
    weight: int | None = None
    haproxy_server_options: str | None = None
    labels: dict[str, str] | None = None


class _Registrator(msgspec.Struct, rename="pascal"):
    ip: str = msgspec.field(name="IP")
    public_port: int
    tags: list[str] | None = None
    attrs: dict[str, str] | None = None


_CURATOR = msgspec.json.Decoder(_Curator)
_MEMBER = msgspec.json.Decoder(_Member)
_NERVE = msgspec.json.Decoder(_Nerve)
_REGISTRATOR = msgspec.json.Decoder(_Registrator)
_NERVE_CHILD = re.compile(r"(.*)_([0-9]+)", re.DOTALL)
_ENCODED = re.compile(r"base64_([0-9]+)_(.*)", re.DOTALL)


def _curator_meta(payload: object) -> dict[str, str]:
    """Return the plain texts of a payload: its own, or those of the `metadata` that Spring puts into it."""
    if not isinstance(payload, dict):
        return {"payload": payload} if isinstance(payload, str) else {}
    table = payload.get("metadata", payload)
    if not isinstance(table, dict):
        return {}
    # Jackson's type marker.
    return {key: text for key, text in table.items() if isinstance(text, str) and key != "@class"}


def _decode_path(child: str) -> bytes | None:
    """Return the record that a child's name carries, malformed as it may be; None where it carries none."""
    match = _ENCODED.fullmatch(child)
    if match is None:
        return None
    if int(match[1]) != len(match[2]):
        return b""
    try:
        return base64.b64decode(match[2], altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
