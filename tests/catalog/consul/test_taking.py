"""A census begins with its first follower and ends with its last, whoever comes or goes in that moment."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from ctemplate.catalog.consul import taking
from ctemplate.catalog.consul.census import Census
from ctemplate.catalog.consul.client import Client
from ctemplate.catalog.consul.opener import endpoints_of
from ctemplate.catalog.consul.sentinels import Resized
from ctemplate.catalog.consul.taking import CensusTaker
from ctemplate.model import Answer
from ctemplate.settings import Consul

ANSWER = Answer(())


async def one_node(self):
    return 1


async def slow_to_end(self, *, by_node):
    """In the place of a census's reader."""
    try:
        await asyncio.Event().wait()
    finally:
        for _ in range(10):
            await asyncio.sleep(0)


class Polls:
    """Answer for `web` until the nodes no longer fit, which they are told by `resized`."""

    resized: asyncio.Event

    def __init__(self, client, census, *, max_stale, fits_nodes):
        self._census = census

    async def run(self):
        self._census.ledger.put("web", ANSWER)
        await self.resized.wait()
        self.resized.clear()
        raise Resized


@pytest.fixture
def taker(monkeypatch):
    """`taker()`: one whose polls are `Polls`. Nothing connects."""
    monkeypatch.setattr(taking, "NodePolls", Polls)
    monkeypatch.setattr(CensusTaker, "_count_nodes", one_node)
    monkeypatch.setattr(Census, "read_for_ever", slow_to_end)

    def make():
        Polls.resized = asyncio.Event()
        client = Client(endpoints_of("127.0.0.1:1", tls=False), Consul(), emit=lambda event: None)
        return CensusTaker(client, max_stale=2.0, polls=lambda: 64, emit=lambda event: None)

    return make


def test_who_comes_when_the_last_one_has_just_left_is_answered(taker):
    async def story():
        census = taker()
        async with contextlib.aclosing(census.follow("web")) as first:
            assert await anext(first) is ANSWER
        await asyncio.sleep(0)
        async with contextlib.aclosing(census.follow("web")) as second, asyncio.timeout(10):
            assert await anext(second) is ANSWER
        await census.aclose()

    asyncio.run(story())


def test_a_census_that_is_ended_while_it_is_arranged_anew_ends(taker):
    async def story():
        census = taker()
        async with contextlib.aclosing(census.follow("web")) as answers:
            await anext(answers)
            Polls.resized.set()
            for _ in range(3):
                await asyncio.sleep(0)
            async with asyncio.timeout(10):
                await census.aclose()

    asyncio.run(story())
