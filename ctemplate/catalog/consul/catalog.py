"""Consul behind the catalog seam: each watch goes by the way that its seat has at the moment.

How many watches there are decides the ways (`arranging.py`, `seats.py`); nothing here polls or decodes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from ctemplate.catalog.consul import records, watch
from ctemplate.catalog.consul.arranging import Sort, Way, sort_of
from ctemplate.catalog.consul.client import Client
from ctemplate.catalog.consul.folders import Folders
from ctemplate.catalog.consul.punctual import punctual
from ctemplate.catalog.consul.seats import Moved, Seat, Seats
from ctemplate.catalog.consul.taking import CensusTaker
from ctemplate.catalog.http import Endpoint
from ctemplate.errors import ConfigError
from ctemplate.events import Emit
from ctemplate.model import Answer, Kind, Query
from ctemplate.settings import Consul

_CONNECTIONS_MIN = 2
"""One to park on and one to read by."""


class ConsulCatalog:
    """One Consul, by its agents at `endpoints`, tried in turn."""

    def __init__(self, endpoints: tuple[Endpoint, ...], consul: Consul, *, emit: Emit) -> None:
        if consul.max_connections < _CONNECTIONS_MIN:
            raise ConfigError(f"max_connections is {consul.max_connections}: it must be at least {_CONNECTIONS_MIN}")
        self._max_stale = consul.max_stale
        self._seats = Seats(consul.max_connections)
        self._client = Client(endpoints, consul, emit=emit, resized=self._seats.resize)
        self._taker = CensusTaker(
            self._client, max_stale=consul.max_stale, polls=lambda: self._seats.census_polls, emit=emit
        )
        self._folders = Folders(self._client, max_stale=consul.max_stale)

    async def watch(self, query: Query) -> AsyncGenerator[Answer, None]:
        """See `Catalog.watch`."""
        if query.kind is Kind.CHECKS:
            self._taker.want_checks()
            await asyncio.Event().wait()
        seat = self._seats.take(query)
        try:
            await asyncio.sleep(0)  # whoever came in the same moment has taken a seat too, and ways are settled
            while True:
                way, answers = seat.way, self._by(seat)
                try:
                    while seat.way is way:
                        yield await seat.until_moved(anext(answers))
                except Moved:
                    continue
                finally:
                    await answers.aclose()
        finally:
            self._seats.leave(seat)

    def _by(self, seat: Seat) -> AsyncGenerator[Answer, None]:
        query = seat.query
        match seat.way:
            case Way.OWN:
                own = watch.own(self._client, query, max_stale=self._max_stale)
                return punctual(own, pause=lambda: watch.LISTEN_SECONDS)
            case Way.FOLDER:
                return self._folders.follow(query)
            case Way.CENSUS:
                return self._taker.follow(query.name)
            case Way.TURNS:
                turns = watch.in_turn(self._client, query, max_stale=self._max_stale, watches=self._count)
                return punctual(turns, pause=lambda: watch.LISTEN_SECONDS + 2 * self._count() / watch.READS_PER_SECOND)

    def _count(self) -> int:
        return self._seats.watches

    async def confirm(self, query: Query) -> Answer:
        """Read from the leader, by `?consistent`."""
        answer = await watch.confirm(self._client, query)
        return records.without_checks(answer) if self._taker.lean and sort_of(query) is Sort.SERVICE else answer

    def heard(self) -> float | None:
        """See `SharedPolls.heard`."""
        return self._taker.current_at()

    def underway(self) -> str:
        """See `SharedPolls.underway`."""
        return self._taker.underway()

    async def aclose(self) -> None:
        """See `Catalog.aclose`."""
        self._seats.close()
        await self._taker.aclose()
        await self._folders.aclose()
        await self._client.aclose()

    def describe(self) -> str:
        """The agents' URLs, the one in use first."""
        return self._client.describe()

    def connections(self) -> int:
        """See `Catalog.connections`."""
        return self._client.connections()
