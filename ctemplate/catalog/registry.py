"""Catalogs by URL scheme. A back end is imported when a URL names it and not before."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TypeAlias

from ctemplate.catalog.base import Catalog
from ctemplate.errors import ConfigError
from ctemplate.events import Emit
from ctemplate.settings import CatalogSource, Consul
from ctemplate.spelling import closest

Opener: TypeAlias = Callable[[CatalogSource, Consul, Emit], Catalog]
"""Makes a catalog and connects to nothing. Raises `ConfigError` for a URL or options that are wrong."""

_OPENERS: Mapping[str, str] = {
    "consul": "ctemplate.catalog.consul.opener:open_consul",
    "consul+https": "ctemplate.catalog.consul.opener:open_consul",
    "consul+unix": "ctemplate.catalog.consul.opener:open_consul",
    "docker": "ctemplate.catalog.docker.opener:open_docker",
    "docker+tcp": "ctemplate.catalog.docker.opener:open_docker",
    "etcd": "ctemplate.catalog.etcd.opener:open_etcd",
    "etcd+https": "ctemplate.catalog.etcd.opener:open_etcd",
    "eureka": "ctemplate.catalog.eureka.opener:open_eureka",
    "eureka+https": "ctemplate.catalog.eureka.opener:open_eureka",
    "file": "ctemplate.catalog.services:open_file",
    "smartstack": "ctemplate.catalog.smartstack:open_smartstack",
    "zookeeper": "ctemplate.catalog.zookeeper.opener:open_zookeeper",
}
"""Scheme to the `module:function` of its `Opener`. A new catalog is one line here."""


def open_catalog(source: CatalogSource, consul: Consul, *, emit: Emit) -> Catalog:
    """Return the catalog at `source.url`, "" being Consul. Nothing is connected yet. Raises `ConfigError`."""
    scheme, colon, _ = (source.url or "consul:").partition(":")
    target = _OPENERS.get(scheme) if colon else None
    if target is None:
        near = closest(scheme, _OPENERS)
        hint = f"; did you mean {near}?" if near else ""
        known = ", ".join(f"{name}:" for name in _OPENERS)
        raise ConfigError(f"catalog {source.name}: {scheme!r} names no known catalog{hint} (known: {known})")
    module, _, function = target.partition(":")
    opener: Opener = getattr(importlib.import_module(module), function)
    return opener(source, consul, emit)
