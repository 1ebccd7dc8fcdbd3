"""From a catalog URL and the `[consul]` settings to a Consul catalog. It connects to nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec

from ctemplate.catalog.consul.catalog import ConsulCatalog
from ctemplate.catalog.consul.http import Endpoint
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
    scheme, _, rest = source.url.partition("://")
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
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise msgspec.ValidationError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def endpoints_of(addresses: str, *, tls: bool) -> tuple[Endpoint, ...]:
    """Parse `host:port`, several with commas between, each with `http://` or `https://` or none, or `unix:///path`.

    `tls` holds where no scheme says otherwise. Raises `ConfigError`.
    """
    endpoints = tuple(_endpoint(part.strip(), tls=tls) for part in addresses.split(",") if part.strip())
    if not endpoints:
        raise ConfigError("the Consul address is empty: expected host:port, http(s)://host:port or unix:///path")
    return endpoints


def _endpoint(address: str, *, tls: bool) -> Endpoint:
    wrong = ConfigError(f"Consul address {address!r}: expected host:port, http(s)://host:port or unix:///path")
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = ("https" if tls else "http"), address
    if scheme == "unix":
        if not rest.startswith("/"):
            raise wrong
        return Endpoint(path=rest, tls=tls)
    if scheme not in ("http", "https"):
        raise wrong
    tls = scheme == "https"
    rest = rest.rstrip("/")
    host, port = rest, ""
    if rest.startswith("["):
        host, bracket, port = rest[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise wrong
        port = port[1:]
    elif rest.count(":") == 1:
        host, _, port = rest.partition(":")
    if not host or any(mark in host for mark in "/?#@ []"):
        raise wrong
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise wrong
    return Endpoint(host=host, port=int(port) if port else (HTTPS_PORT if tls else HTTP_PORT), tls=tls)
