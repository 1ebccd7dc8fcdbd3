"""From a catalog URL and the `[consul]` settings to a Consul catalog. It connects to nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec

from ctemplate.catalog.addresses import parse_endpoints
from ctemplate.catalog.consul.catalog import ConsulCatalog
from ctemplate.catalog.http import Endpoint
from ctemplate.errors import ConfigError
from ctemplate.events import Emit
from ctemplate.settings import CatalogSource, Consul

HTTP_PORT, HTTPS_PORT = 8500, 8501
"""Consul's own."""


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


def endpoints_of(addresses: str, *, tls: bool) -> tuple[Endpoint, ...]:
    """Parse addresses (`parse_endpoints`) with Consul's own ports. Raises `ConfigError`."""
    if "@" in addresses:
        raise ConfigError("the Consul address holds an @: a user and password go into -consul-auth")
    return parse_endpoints(addresses, server="Consul", ports=(HTTP_PORT, HTTPS_PORT), tls=tls)


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
