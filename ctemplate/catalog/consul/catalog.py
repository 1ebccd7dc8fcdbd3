"""Consul behind the catalog seam. How a query is watched is decided here, by how many names are watched.

Today every name is watched for itself (`watch.py`); a strategy that shares its polls among names takes its
place behind `watch` and nobody else knows.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from ctemplate.catalog.consul import watch
from ctemplate.catalog.consul.client import Client
from ctemplate.catalog.http import Endpoint
from ctemplate.errors import ConfigError
from ctemplate.model import Answer, Query
from ctemplate.settings import Consul

_CONNECTIONS_MIN = 2
"""One to park on and one to read by."""


class ConsulCatalog:
    """One Consul, by its agents at `endpoints`, tried in turn."""

    def __init__(self, endpoints: tuple[Endpoint, ...], consul: Consul) -> None:
        if consul.max_connections < _CONNECTIONS_MIN:
            raise ConfigError(f"max_connections is {consul.max_connections}: it must be at least {_CONNECTIONS_MIN}")
        self._consul = consul
        self._client = Client(endpoints, consul)
        self._places = watch.Places(consul.max_connections)

    def watch(self, query: Query) -> AsyncGenerator[Answer, None]:
        """See `Catalog.watch`."""
        return watch.watch(self._client, self._places, query, max_stale=self._consul.max_stale)

    async def confirm(self, query: Query) -> Answer:
        """Read from the leader, by `?consistent`."""
        return await watch.confirm(self._client, query)

    async def aclose(self) -> None:
        """See `Catalog.aclose`."""
        await self._client.aclose()

    def describe(self) -> str:
        """The agents' URLs, the one in use first."""
        return self._client.describe()

    def connections(self) -> int:
        """See `Catalog.connections`."""
        return self._client.connections()
