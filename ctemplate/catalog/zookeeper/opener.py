"""From a catalog URL and its table in the configuration to a ZooKeeper catalog. It connects to nothing."""

from __future__ import annotations

import importlib.util
from typing import Any

from ctemplate.catalog.addresses import parse_endpoints
from ctemplate.catalog.layout import Layout
from ctemplate.catalog.options import read_options
from ctemplate.catalog.urls import USER_OPTIONS, split_url
from ctemplate.catalog.zookeeper.layouts import LAYOUTS, layout
from ctemplate.config import values
from ctemplate.errors import ConfigError
from ctemplate.events import Emit
from ctemplate.settings import CatalogSource, Consul

PORT = 2181
"""ZooKeeper's own."""
SERVICE = "{service}"

_OPTIONS = {
    "layout": values.TEXT,
    "prefix": values.TEXT,
    "endpoint": values.TEXT,
    "absent_is_empty": values.SWITCH,
    **USER_OPTIONS,
}


def open_zookeeper(source: CatalogSource, consul: Consul, emit: Emit) -> Any:
    """Return the catalog at `zookeeper://[user[:password]@]host[:port],…[/base]`. Raises `ConfigError`.

    Every path is below the base. `prefix` says where the services stand below that: `{service}` in it is the name of
    one, and stands at its end where it does not say so.
    """
    url = split_url(source)
    options = read_options(source, _OPTIONS)
    endpoints = parse_endpoints(url.hosts, server="ZooKeeper", ports=(PORT, PORT))
    if any(endpoint.tls or endpoint.path for endpoint in endpoints):
        raise ConfigError(f"catalog {source.name}: expected zookeeper://host[:port][,host…][/base]")
    chosen = _layout(source, options.get("layout", "curator"), options.get("endpoint", ""))
    services = "/" + options.get("prefix", "").strip("/")
    if SERVICE not in services:
        services = services.rstrip("/") + f"/{SERVICE}"
    if services.count(SERVICE) != 1 or SERVICE not in services.split("/"):
        raise ConfigError(f"catalog {source.name}: prefix: {SERVICE} must stand once, between slashes")
    if importlib.util.find_spec("kazoo") is None:
        raise ConfigError(
            f"catalog {source.name}: {url.scheme}: needs the package kazoo: pip install 'ctemplate[zookeeper]'"
        )
    from ctemplate.catalog.zookeeper.catalog import ZooKeeperCatalog
    from ctemplate.catalog.zookeeper.session import Session

    base = "/" + (url.path or "").strip("/")
    session = Session(
        ",".join(endpoint.authority for endpoint in endpoints),
        base if base != "/" else "",
        credentials=url.credentials(options),
    )
    return ZooKeeperCatalog(
        session, layout=chosen, services=services, absent_is_empty=options.get("absent_is_empty", False)
    )


def _layout(source: CatalogSource, name: str, endpoint: str) -> Layout:
    if name not in LAYOUTS:
        raise ConfigError(f"catalog {source.name}: {name!r} is no layout of ZooKeeper (known: {', '.join(LAYOUTS)})")
    chosen = layout(name, endpoint=endpoint)
    if chosen is None:
        raise ConfigError(f"catalog {source.name}: endpoint: only the layout serverset has several")
    return chosen
