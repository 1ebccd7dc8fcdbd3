"""From a catalog URL and its table in the configuration to a Eureka catalog. It connects to nothing."""

from __future__ import annotations

from typing import Any

from ctemplate.catalog.addresses import parse_endpoints
from ctemplate.catalog.eureka.catalog import EurekaCatalog, Settings
from ctemplate.catalog.eureka.records import Address, Port, Reading
from ctemplate.catalog.options import read_options
from ctemplate.catalog.peers import Peers
from ctemplate.catalog.tls import TLS_OPTIONS, tls_of
from ctemplate.catalog.urls import USER_OPTIONS, split_url
from ctemplate.config import values
from ctemplate.errors import ConfigError
from ctemplate.events import Emit
from ctemplate.settings import CatalogSource, Consul

PORT = 8761
"""Spring's default, with and without TLS."""
PATH = "eureka"
"""Spring's; Netflix's own server has `eureka/v2`."""

_OPTIONS = {
    "interval": values.SOME_TIME,
    "lease": values.SOME_TIME,
    "address": values.one_of(tuple(Address)),
    "port": values.one_of(tuple(Port)),
    **USER_OPTIONS,
    **TLS_OPTIONS,
}


def open_eureka(source: CatalogSource, consul: Consul, emit: Emit) -> EurekaCatalog:
    """Return the catalog at `eureka://[user[:password]@]host[:port],…[/path]` or `eureka+https://…`.

    Each host may be followed by the path, as in Spring's `defaultZone`; there is one path for all. Raises
    `ConfigError`.
    """
    url = split_url(source)
    options = read_options(source, _OPTIONS)
    hosts, path = _hosts_and_path(source, url.hosts, url.path or "")
    endpoints = parse_endpoints(hosts, server="Eureka", ports=(PORT, PORT), tls=url.scheme == "eureka+https")
    settings = Settings(
        path=path,
        reading=Reading(
            address=Address(options.get("address", Address.IP)), port=Port(options.get("port", Port.PLAIN))
        ),
        credentials=url.credentials(options),
        **_times(options),
    )
    return EurekaCatalog(Peers(endpoints, tls=tls_of(options)), settings, emit=emit)


def _hosts_and_path(source: CatalogSource, hosts: str, rest: str) -> tuple[str, str]:
    """Take `a:1` and `eureka,b:2/eureka` apart: every host, and the path that they share."""
    parts = [part.partition("/") for part in f"{hosts}/{rest}".split(",")]
    paths = {path.strip("/") for _, slash, path in parts if slash and path.strip("/")}
    if len(paths) > 1:
        raise ConfigError(f"catalog {source.name}: its peers have different paths: {', '.join(sorted(paths))}")
    return ",".join(host for host, _, _ in parts), "/" + (paths.pop() if paths else PATH)


def _times(options: dict[str, Any]) -> dict[str, float]:
    return {name: options[name] for name in ("interval", "lease") if name in options}
