"""From a catalog URL and the keys of its table to a Docker catalog. It connects to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ctemplate.catalog.addresses import parse_endpoints
from ctemplate.catalog.docker.catalog import DockerCatalog
from ctemplate.catalog.docker.labels import Labels
from ctemplate.catalog.docker.places import Rules
from ctemplate.catalog.fields import address_fault
from ctemplate.catalog.http import Endpoint
from ctemplate.catalog.options import read_options
from ctemplate.catalog.peers import Peers
from ctemplate.catalog.tls import TLS_OPTIONS, tls_of
from ctemplate.config import values
from ctemplate.config.values import Kind
from ctemplate.errors import ConfigError
from ctemplate.events import Emit
from ctemplate.settings import CatalogSource, Consul

SOCKET = "/var/run/docker.sock"
HTTP_PORT, HTTPS_PORT = 2375, 2376
"""Docker's own."""


def _address(value: object, base: Path) -> str:
    if fault := address_fault(value):
        raise ConfigError(fault)
    return str(value)


def _labels(value: object, base: Path) -> Labels:
    try:
        return msgspec.convert(value, Labels)
    except msgspec.ValidationError as fault:
        raise ConfigError(str(fault)) from None


RULES: Mapping[str, Kind] = {
    "host": values.TEXT,
    "host_address": Kind(_address, "address"),
    "ip": Kind(_address, "address"),
    "internal": values.SWITCH,
    "explicit": values.SWITCH,
    "network": values.TEXT,
    "use_ip_from_label": values.TEXT,
}
"""The options that `Rules` holds."""
OPTIONS: Mapping[str, Kind] = {**RULES, **TLS_OPTIONS, "labels": Kind(_labels, "table")}


def open_docker(source: CatalogSource, consul: Consul, emit: Emit) -> DockerCatalog:
    """Return the catalog of the engine at `source.url`, by its options. Raises `ConfigError`."""
    options = read_options(source, OPTIONS)
    try:
        endpoint = endpoint_of(source.url, tls=bool(options.keys() & {"ca_file", "client_cert"}))
    except ConfigError as fault:
        raise ConfigError(f"catalog {source.name}: {fault}") from None
    rules = rules_of(options, host_address="127.0.0.1" if endpoint.path else endpoint.host)
    return DockerCatalog(peers_of(endpoint, options), rules=rules, labels=options.get("labels"), emit=emit)


def rules_of(options: Mapping[str, Any], *, host_address: str) -> Rules:
    """Return the rules that `options`, as read, set."""
    chosen = {name: value for name, value in options.items() if name in RULES}
    return Rules(**({"host": "", "host_address": host_address} | chosen))


def endpoint_of(url: str, *, tls: bool = False) -> Endpoint:
    """Parse `docker:`, `docker:///path/to/socket` or `docker+tcp://host[:port]`.

    `tls`: what is set asks for it; so does the port that is Docker's own for it. Raises `ConfigError`.
    """
    scheme, _, rest = url.partition(":")
    address = rest.removeprefix("//")
    if scheme == "docker":
        if address and not address.startswith("/"):
            raise ConfigError(f"expected docker:///path/to/socket or docker+tcp://host:{HTTPS_PORT}, not {url!r}")
        return Endpoint(path=address or SOCKET)
    if "," in address or "://" in address:
        raise ConfigError("expected one engine, docker+tcp://host:port")
    (endpoint,) = parse_endpoints(address, server="Docker", ports=(HTTP_PORT, HTTPS_PORT), tls=tls)
    return msgspec.structs.replace(endpoint, tls=endpoint.tls or endpoint.port == HTTPS_PORT)


def peers_of(endpoint: Endpoint, options: Mapping[str, Any]) -> Peers:
    """Return the way to the engine."""
    return Peers((endpoint,), tls=tls_of(options))
