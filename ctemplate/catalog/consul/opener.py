"""From a catalog URL and the `[consul]` settings to a Consul catalog. It connects to nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec

from ctemplate.catalog.consul.catalog import ConsulCatalog
from ctemplate.catalog.consul.http import Endpoint
from ctemplate.catalog.fields import PORT_MAX
from ctemplate.errors import ConfigError
from ctemplate.events import Emit
from ctemplate.settings import CatalogSource, Consul

HTTP_PORT, HTTPS_PORT = 8500, 8501


def open_consul(source: CatalogSource, consul: Consul, emit: Emit) -> ConsulCatalog:
    """Return the catalog at `source.url`: "", `consul://host[:port]`, `consul+https://…` or `consul+unix:///path`.

    Several addresses are separated by commas. `source.options` go before what `consul` says, key by key.
    Raises `ConfigError`.
    """
    consul = _with_options(consul, source)
    scheme, slashes, rest = source.url.partition("://")
    if source.url and not slashes:
        raise ConfigError(f"catalog {source.name}: expected consul://host[:port], not {source.url!r}")
    tls = consul.ssl or scheme == "consul+https"
    if scheme == "consul+unix":
        addresses = ",".join(f"unix://{path}" for path in rest.split(","))
    else:
        addresses = rest or consul.address
    return ConsulCatalog(endpoints_of(addresses, tls=tls), consul)


def _with_options(consul: Consul, source: CatalogSource) -> Consul:
    known = {field.name for field in dataclasses.fields(Consul)} - {"address"}
    unknown = sorted(set(source.options) - known)
    if unknown:
        raise ConfigError(
            f"catalog {source.name}: {unknown[0]} is no setting of a Consul catalog; known: {', '.join(sorted(known))}"
        )
    given = {field.name: getattr(consul, field.name) for field in dataclasses.fields(Consul)}
    try:
        return msgspec.convert({**given, **source.options}, Consul, dec_hook=_path)
    except msgspec.ValidationError as fault:
        raise ConfigError(f"catalog {source.name}: {fault}") from fault


def _path(kind: type[Any], value: Any) -> Any:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")  # msgspec adds the key


def endpoints_of(addresses: str, *, tls: bool) -> tuple[Endpoint, ...]:
    """Parse `host:port`, several with commas between, each with `http://` or `https://` or none, or `unix:///path`.

    `tls` holds where no scheme says otherwise. Raises `ConfigError`.
    """
    endpoints = tuple(_endpoint(part.strip(), tls=tls) for part in addresses.split(",") if part.strip())
    if not endpoints:
        raise ConfigError("the Consul address is empty: expected host:port, http(s)://host:port or unix:///path")
    return endpoints


def _endpoint(address: str, *, tls: bool) -> Endpoint:
    if "@" in address:
        raise ConfigError("the Consul address holds an @: a user and password go into -consul-auth")
    scheme, slashes, rest = address.partition("://")
    if not slashes:
        scheme, rest = ("https" if tls else "http"), address
    if scheme == "unix" and rest.startswith("/"):
        return Endpoint(path=rest, tls=tls)
    host, port = _host_and_port(rest.rstrip("/"))
    good_port = not port or (port.isascii() and port.isdigit() and 0 < int(port) <= PORT_MAX)
    if scheme not in ("http", "https") or not good_port or not host or any(mark in host for mark in "/?# []"):
        raise ConfigError(f"Consul address {address!r}: expected host:port, http(s)://host:port or unix:///path")
    tls = scheme == "https"
    return Endpoint(host=host, port=int(port) if port else (HTTPS_PORT if tls else HTTP_PORT), tls=tls)


def _host_and_port(text: str) -> tuple[str, str]:
    """Split `host`, `host:port`, `::1`, `[::1]` or `[::1]:port`; the host is empty where that cannot be done."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        whole = bracket and (not rest or (rest.startswith(":") and rest != ":"))
        return (host, rest[1:]) if whole else ("", "")
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return (host, port) if port else ("", "")
    return text, ""
