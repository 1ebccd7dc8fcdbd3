"""The engine's JSON as typed records: what `/containers/json` and `/containers/ID/json` say, and nothing on services.

A body of the wrong shape is no answer at all (`msgspec.DecodeError`). Fields that a newer engine no longer has are
optional: the address at the top of `NetworkSettings` is gone since API 1.52, so it is never read.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Port(msgspec.Struct, frozen=True, order=True):
    """A port inside a container."""

    number: int
    protocol: str


class Binding(msgspec.Struct, frozen=True):
    """Where a port is published on the host: the first binding, as Registrator takes it."""

    address: str
    """`0.0.0.0`, `::` or empty: on every address."""
    port: int


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """A running container, as `inspect` tells it."""

    id: str
    name: str
    """Without the slash that the engine puts before it."""
    image: str
    env: tuple[str, ...] = ()
    """`NAME=value`, in the container's own order."""
    labels: Mapping[str, str] = {}
    exposed: frozenset[Port] = frozenset()
    """Declared by the image or at start, whether published or not."""
    published: Mapping[Port, Binding | None] = {}
    """Every port that the engine knows of, None where it is not published. Empty in `host` and `container:` mode."""
    networks: Mapping[str, str] = {}
    """Network name to the address there: IPv4, else IPv6, empty where there is none."""
    network_mode: str = ""
    health: str = ""
    """`starting`, `healthy` or `unhealthy`; empty where no health check is declared."""
    paused: bool = False
    started: str = ""
    """When this run began, in the engine's words: the same run, the same text."""


class Listed(msgspec.Struct, frozen=True, rename="pascal"):
    """One entry of the list: enough to know whether to inspect it again."""

    id: str
    names: tuple[str, ...] = ()
    state: str = ""


class _Health(msgspec.Struct, rename="pascal"):
    status: str = ""


class _State(msgspec.Struct, rename="pascal"):
    running: bool
    paused: bool = False
    restarting: bool = False
    started_at: str = ""
    health: _Health | None = None


class _Config(msgspec.Struct, rename="pascal"):
    image: str = ""
    env: tuple[str, ...] | None = None
    labels: dict[str, str] | None = None
    exposed_ports: dict[str, object] | None = None


class _HostConfig(msgspec.Struct, rename="pascal"):
    network_mode: str = ""


class _Binding(msgspec.Struct, rename="pascal"):
    host_ip: str = ""
    host_port: str = ""


class _Network(msgspec.Struct, rename="pascal"):
    ip_address: str = msgspec.field(name="IPAddress", default="")
    global_ipv6_address: str = msgspec.field(name="GlobalIPv6Address", default="")


class _NetworkSettings(msgspec.Struct, rename="pascal"):
    ports: dict[str, list[_Binding] | None] | None = None
    networks: dict[str, _Network | None] | None = None


class _Inspected(msgspec.Struct, rename="pascal"):
    id: str
    name: str
    state: _State
    config: _Config
    host_config: _HostConfig
    network_settings: _NetworkSettings


_LIST = msgspec.json.Decoder(list[Listed])
_INSPECTED = msgspec.json.Decoder(_Inspected)


def listed(body: bytes) -> list[Listed]:
    """Decode `/containers/json`."""
    return _LIST.decode(body)


def inspected(body: bytes) -> Container | None:
    """Decode `/containers/ID/json`; None for one that does not run now, such as between two restarts."""
    said = _INSPECTED.decode(body)
    if not said.state.running or said.state.restarting:
        return None
    health = said.state.health.status if said.state.health else ""
    return Container(
        id=said.id,
        name=said.name.removeprefix("/"),
        image=said.config.image,
        env=said.config.env or (),
        labels=said.config.labels or {},
        exposed=frozenset(map(_port, said.config.exposed_ports or ())),
        published={_port(key): _binding(value) for key, value in (said.network_settings.ports or {}).items()},
        networks={
            name: (at.ip_address or at.global_ipv6_address) if at else ""
            for name, at in (said.network_settings.networks or {}).items()
        },
        network_mode=said.host_config.network_mode,
        health="" if health == "none" else health,
        paused=said.state.paused,
        started=said.state.started_at,
    )


def _port(text: str) -> Port:
    number, _, protocol = text.partition("/")
    return Port(_number(number), protocol or "tcp")


def _binding(bindings: list[_Binding] | None) -> Binding | None:
    if not bindings or not bindings[0].host_port:
        return None
    return Binding(bindings[0].host_ip, _number(bindings[0].host_port))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise msgspec.ValidationError("Expected a port number")
    return int(text)
