"""From a catalog URL and the `[consul]` settings to a Consul catalog. It connects to nothing."""

from __future__ import annotations

import dataclasses

from ctemplate.catalog.addresses import parse_endpoints
from ctemplate.catalog.consul.catalog import ConsulCatalog
from ctemplate.catalog.http import Endpoint
from ctemplate.catalog.options import read_options
from ctemplate.config.keys import CONSUL, CONSUL_PREFIX
from ctemplate.errors import ConfigError
from ctemplate.events import Emit
from ctemplate.settings import CatalogSource, Consul

HTTP_PORT, HTTPS_PORT = 8500, 8501
"""Consul's own."""
_OPTIONS = {name.removeprefix(CONSUL_PREFIX): key.kind for name, key in CONSUL.items() if name != "consul_addr"}
"""The keys of `[consul]` but the address, which the URL says."""


def open_consul(source: CatalogSource, consul: Consul, emit: Emit) -> ConsulCatalog:
    """Return the catalog at `source.url`: "", `consul://host[:port]`, `consul+https://…` or `consul+unix:///path`.

    Several addresses are separated by commas. `source.options` go before what `consul` says, key by key.
    Raises `ConfigError`.
    """
    return ConsulCatalog(*locate(source, consul), emit=emit)


def locate(source: CatalogSource, consul: Consul) -> tuple[tuple[Endpoint, ...], Consul]:
    """Return where `source` says that Consul is, and the settings that go for it. Raises `ConfigError`."""
    consul = settings_of(source, consul)
    scheme, slashes, rest = source.url.partition("://")
    if source.url and not slashes:
        raise ConfigError(f"catalog {source.name}: expected consul://host[:port], not {source.url!r}")
    tls = consul.ssl or scheme == "consul+https"
    if scheme == "consul+unix":
        addresses = ",".join(f"unix://{path}" for path in rest.split(","))
    else:
        addresses = rest or consul.address
    return endpoints_of(addresses, tls=tls), consul


def endpoints_of(addresses: str, *, tls: bool) -> tuple[Endpoint, ...]:
    """Parse addresses (`parse_endpoints`) with Consul's own ports. Raises `ConfigError`."""
    if "@" in addresses:
        raise ConfigError("the Consul address holds an @: a user and password go into -consul-auth")
    return parse_endpoints(addresses, server="Consul", ports=(HTTP_PORT, HTTPS_PORT), tls=tls)


def settings_of(source: CatalogSource, consul: Consul) -> Consul:
    """Return `consul` with the options of `source` over it. Raises `ConfigError`."""
    given = read_options(source, _OPTIONS)
    if given.keys() & {"token", "token_file"}:  # one setting: this catalog's token, not the file of another
        consul = dataclasses.replace(consul, token="", token_file=None)
    return dataclasses.replace(consul, **given)
