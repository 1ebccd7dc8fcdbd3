"""From a catalog URL and its table in the configuration to an etcd catalog. It connects to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctemplate.catalog.addresses import parse_endpoints
from ctemplate.catalog.etcd.catalog import EtcdCatalog
from ctemplate.catalog.etcd.client import Client
from ctemplate.catalog.etcd.layouts import FIELDS, LAYOUTS, layout
from ctemplate.catalog.layout import Layout
from ctemplate.catalog.options import read_options
from ctemplate.catalog.peers import Peers
from ctemplate.catalog.tls import TLS_OPTIONS, tls_of
from ctemplate.catalog.urls import USER_OPTIONS, split_url
from ctemplate.config import values
from ctemplate.errors import ConfigError
from ctemplate.events import Emit
from ctemplate.settings import CatalogSource, Consul

PORT = 2379
"""etcd's own, with and without TLS."""


_OPTIONS = {"layout": values.TEXT, "prefix": values.TEXT, "fields": values.VARS, **USER_OPTIONS, **TLS_OPTIONS}


def open_etcd(source: CatalogSource, consul: Consul, emit: Emit) -> EtcdCatalog:
    """Return the catalog at `etcd://[user[:password]@]host[:port],…[/base]` or `etcd+https://…`. Raises `ConfigError`.

    With a base every key begins with `/base/`, as Registrator writes for the same URL; `etcd://host/` stands for
    keys that begin with a slash, and no path at all for keys as they are.
    """
    client, base = open_client(source, emit=emit)
    options = read_options(source, _OPTIONS)
    chosen = _layout(source, options.get("layout", "registrator"), options.get("fields", {}))
    prefix = options.get("prefix", "")
    prefix = prefix.strip("/") if base else prefix.rstrip("/")
    return EtcdCatalog(client, layout=chosen, base=base, services=base + _folder(prefix))


def open_client(source: CatalogSource, *, emit: Emit) -> tuple[Client, str]:
    """Return the cluster at the URL of `source` and the prefix that its path says. Raises `ConfigError`."""
    url = split_url(source)
    options = read_options(source, _OPTIONS)
    endpoints = parse_endpoints(url.hosts, server="etcd", ports=(PORT, PORT), tls=url.scheme == "etcd+https")
    client = Client(Peers(endpoints, tls=tls_of(options)), credentials=url.credentials(options), emit=emit)
    return client, "" if url.path is None else _folder("/" + url.path)


def _layout(source: CatalogSource, name: str, fields: Mapping[str, Any]) -> Layout:
    if name not in LAYOUTS:
        raise ConfigError(f"catalog {source.name}: {name!r} is no layout of etcd (known: {', '.join(LAYOUTS)})")
    chosen = layout(name, fields=fields)
    if chosen is None or not all(isinstance(field, str) for field in fields.values()):
        raise ConfigError(f"catalog {source.name}: fields: only the layout confd takes names, of {', '.join(FIELDS)}")
    return chosen


def _folder(path: str) -> str:
    return path.rstrip("/") + "/" if path else ""
