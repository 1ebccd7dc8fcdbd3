"""Eureka's JSON (`GET …/apps`) as our model. What comes in is checked here, once.

Two encoders write it: a list of one may stand as the object alone, numbers as text, and an empty list not at all.
A body that is no listing is no answer; an instance that cannot be one is left out and named.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from sys import intern
from typing import Any

import msgspec

from ctemplate.catalog.fields import address_fault, port_fault, weight_fault
from ctemplate.model import CRITICAL, MAINTENANCE, PASSING, BadRecord, Instance

_STATUS = {"UP": PASSING, "OUT_OF_SERVICE": MAINTENANCE}
"""Every other one (DOWN, STARTING, UNKNOWN, and what does not exist yet) gets no traffic."""
SECURE_TAG = "secure"
"""The tag of an instance whose port speaks TLS."""


class Address(enum.StrEnum):
    """Which of an instance's two addresses is used."""

    IP = "ip"
    HOST = "host"


class Port(enum.StrEnum):
    """Which port is used where both are enabled; where one is, it is that one."""

    PLAIN = "plain"
    SECURE = "secure"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """How an instance is read where Eureka leaves a choice."""

    address: Address = Address.IP
    port: Port = Port.PLAIN


class Registered(msgspec.Struct, frozen=True):
    """One registration: the instance, or why it cannot be one; and when the server last changed it."""

    record: Instance | BadRecord
    updated: int
    """Milliseconds since the epoch by the server's clock; 0 where it does not say."""


Key = tuple[str, str]
"""The app in lower case and the instance's id."""
Listing = Mapping[Key, Registered]
"""Everything that one server lists."""


class _Port(msgspec.Struct):
    number: int | str = msgspec.field(name="$", default=0)
    enabled: bool | str = msgspec.field(name="@enabled", default=False)

    @property
    def on(self) -> bool:
        return str(self.enabled).lower() == "true"


class _DataCenter(msgspec.Struct):
    metadata: dict[str, Any] | None = None


class _Instance(msgspec.Struct, rename="camel"):
    instance_id: str = ""
    host_name: str = ""
    ip_addr: str = ""
    status: str = ""
    port: _Port | None = None
    secure_port: _Port | None = None
    metadata: dict[str, Any] | None = None
    data_center_info: _DataCenter | None = None
    last_updated_timestamp: int | str | None = None


class _Application(msgspec.Struct):
    name: str
    instance: msgspec.Raw = msgspec.Raw(b"[]")


class _Body(msgspec.Struct):
    applications: dict[str, msgspec.Raw]


_BODY = msgspec.json.Decoder(_Body)
_APPLICATIONS = msgspec.json.Decoder(list[_Application] | _Application)
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])
_INSTANCE = msgspec.json.Decoder(_Instance)


def listing(body: bytes, reading: Reading) -> Listing:
    """Decode `/apps`. Raises `msgspec.DecodeError` for what is no complete listing."""
    members = _BODY.decode(body).applications
    applications = bytes(members.get("application", b""))
    if applications in (b"", b'""', b"null"):
        _check_empty(members)
        applications = b"[]"
    found = _APPLICATIONS.decode(applications)
    listed: dict[Key, Registered] = {}
    for application in found if isinstance(found, list) else [found]:
        for raw in _raws(application.instance):
            key, registered = _registered(application.name.lower(), raw, len(listed), reading)
            if key not in listed or registered.updated >= listed[key].updated:
                listed[key] = registered
    return listed


def _check_empty(members: Mapping[str, msgspec.Raw]) -> None:
    """No applications at all: that is a listing only if the hash beside it counts no instance either."""
    hashes = [bytes(value) for name, value in members.items() if name.startswith("apps")]
    if hashes not in ([b'""'], [b"null"]):
        raise msgspec.ValidationError("It lists no application, and not that there are none")


def _raws(one_or_many: msgspec.Raw) -> list[msgspec.Raw]:
    return _RAWS.decode(one_or_many) if bytes(one_or_many).startswith(b"[") else [one_or_many]


def _registered(app: str, raw: msgspec.Raw, number: int, reading: Reading) -> tuple[Key, Registered]:
    app = intern(app)
    try:
        record = _INSTANCE.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):  # the error's words could hold the value
        place = f"{number + 1}"
        return (app, place), Registered(BadRecord(app, "", place, "has not the shape of Eureka's instances"), 0)
    metadata = record.metadata or {}
    amazon = (record.data_center_info and record.data_center_info.metadata) or {}
    id = record.instance_id or str(amazon.get("instance-id", "")) or record.host_name
    port, secure, fault = _port(record, reading.port)
    first, second = record.ip_addr, record.host_name
    address = second or first if reading.address is Address.HOST else first or second
    weight = _number(metadata.get("weight", 1))
    fault = address_fault(address) or fault or weight_fault(weight)
    updated = _number(record.last_updated_timestamp or 0) or 0
    if fault:
        return (app, id), Registered(BadRecord(app, record.host_name, id, fault), updated)
    instance = Instance(
        id=id,
        name=app,
        address=intern(address),
        port=port,
        node=intern(record.host_name),
        node_address=intern(record.ip_addr),
        tags=_tags(metadata, secure),
        meta=dict(_meta(metadata, amazon)),
        status=_STATUS.get(record.status, CRITICAL),
        weight=weight or 0,
    )
    return (app, id), Registered(instance, updated)


def _port(record: _Instance, prefer: Port) -> tuple[int, bool, str | None]:
    """Return the port, whether it is the secure one, and what is wrong with it."""
    on = [(port, secure) for port, secure in ((record.port, False), (record.secure_port, True)) if port and port.on]
    if not on:
        return 0, False, "neither port nor securePort is enabled"
    port, secure = on[-1 if prefer is Port.SECURE else 0]
    number = _number(port.number)
    return number or 0, secure, port_fault(number) or (None if number else "port is 0")


def _tags(metadata: Mapping[str, Any], secure: bool) -> tuple[str, ...]:
    """Return what stands in the metadata's `tags` with commas between, and `secure`: Eureka itself has no tags."""
    named = {intern(tag.strip()) for tag in str(metadata.get("tags", "")).split(",") if tag.strip()}
    return tuple(sorted(named | ({SECURE_TAG} if secure else set())))


def _meta(metadata: Mapping[str, Any], amazon: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the metadata as text, without what the encoder adds, and the zone also where only Amazon tells it."""
    zone = amazon.get("availability-zone")
    if zone and "zone" not in metadata:
        yield "zone", intern(str(zone))
    for name, value in metadata.items():
        if name != "@class" and isinstance(value, str | int | float):
            yield intern(name), str(value).lower() if isinstance(value, bool) else intern(str(value))


def _number(value: object) -> int | None:
    """Return what may stand as a number or as text; None where it is neither."""
    if isinstance(value, int):
        return value
    if not isinstance(value, str):
        return None
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None
