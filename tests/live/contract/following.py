"""A hub on a real catalog, everything that the catalog said on the way, and waiting for what it should come to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from ctemplate.catalog.base import Catalog
from ctemplate.catalog.hub import Hub
from ctemplate.events import Event
from ctemplate.model import Answer, Failure, Query

DEADLINE_SECONDS = 60.0
"""More than the 30 s after which the hub asks again what was refused: a Consul that begins empty refuses for a moment
the token that it is about to learn."""


class Recorded:
    """A catalog, and every answer that it gave, also those that a hub would not see because a later one came."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.values: dict[Query, list[Any]] = {}
        self.confirm, self.aclose = catalog.confirm, catalog.aclose
        self.describe, self.connections = catalog.describe, catalog.connections

    async def watch(self, query: Query) -> AsyncIterator[Answer]:
        async with aclosing(self._catalog.watch(query)) as answers:
            async for answer in answers:
                self.values.setdefault(query, []).append(answer.value)
                yield answer


class Following:
    """What a hub knows and what was told."""

    def __init__(self, hub: Hub, said: Recorded, events: list[Event]) -> None:
        self._hub = hub
        self._said = said
        self.catalog = said
        self.events = events

    def values(self, query: Query) -> list[Any]:
        """Every value that the catalog gave, repeated ones too."""
        return self._said.values.get(query, [])

    async def until(self, query: Query, holds: Callable[[Any], bool]) -> Answer:
        """Wait until the answer to `query` is as it should be, and return it."""
        last = None
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while True:
                    last = self._hub.snapshot.answers.get(query)
                    if last is not None and holds(last.value):
                        return last
                    await self._hub.next()
        except TimeoutError:
            pytest.fail(f"{query} never came to be as expected; last: {last}; {self._hub.snapshot.failures}")

    async def until_failed(self, query: Query) -> Failure:
        """Wait until `query` fails, and return why."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while query not in self._hub.snapshot.failures:
                await self._hub.next()
        return self._hub.snapshot.failures[query]

    async def until_mended(self, query: Query) -> Answer:
        """Wait until `query` fails no more, and return its answer."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while query in self._hub.snapshot.failures:
                await self._hub.next()
        return self._hub.snapshot.answers[query]

    def known(self, query: Query) -> Any:
        """The value that stands, current or not."""
        return self._hub.snapshot.answers[query].value

    def want(self, *queries: Query, linger: float) -> None:
        """Ask for these and no others from now on."""
        self._hub._linger = linger
        self._hub.want(set(queries))

    async def until_told(self, kind: type[Event]) -> Event:
        """Wait for an event of `kind`, and return it."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not (found := [event for event in self.events if isinstance(event, kind)]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return found[0]


@asynccontextmanager
async def following(catalog: Catalog, *queries: Query, events: list[Event]) -> AsyncIterator[Following]:
    """Keep `queries` open on `catalog`, which is closed at the end and then holds no connection."""
    said = Recorded(catalog)
    hub = Hub({"default": said}, emit=events.append)
    running = asyncio.create_task(hub.run())
    hub.want(set(queries))
    try:
        yield Following(hub, said, events)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert catalog.connections() == 0
