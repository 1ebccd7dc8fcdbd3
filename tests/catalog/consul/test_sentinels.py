"""What sentinels make of replies whose order, or whose index, is not what it was."""

from __future__ import annotations

import asyncio
import contextlib
from types import MappingProxyType

import pytest

from ctemplate.catalog.consul import sentinels
from ctemplate.catalog.consul.census import Census
from ctemplate.catalog.consul.client import Client
from ctemplate.catalog.consul.opener import endpoints_of
from ctemplate.catalog.consul.questions import CHECKS_WRITTEN, NODES, NOWHERE, SERVICES
from ctemplate.catalog.consul.sentinels import CRITICAL, WARNING, Sentinels
from ctemplate.catalog.http import Reply
from ctemplate.settings import Consul

WEB = b'{"Node": "n1", "CheckID": "own", "Status": "critical", "ServiceID": "w", "ServiceName": "web"}'
OTHER = b'{"Node": "n2", "CheckID": "own", "Status": "critical", "ServiceID": "o", "ServiceName": "other"}'
BOTH = b"[%s,%s]" % (WEB, OTHER)
LISTS = {SERVICES: b'{"web": []}', NODES: b'[{"Node": "n1"}]'}


class Scene:
    """Sentinels whose polls, and whose asking in between, are answered by hand."""

    def __init__(self, monkeypatch):
        self.polls = {path: asyncio.Queue() for path in (SERVICES, NODES, CRITICAL, WARNING, CHECKS_WRITTEN)}
        self.fresh = {}
        self.registered_at = 800
        self.listed = 0
        """How often all services were listed between polls."""
        client = Client(endpoints_of("127.0.0.1:1", tls=False), Consul(), emit=lambda event: None)
        self.census = Census(client, max_stale=2.0, emit=lambda event: None)

        async def parked(client, path, *_, **__):
            while True:
                yield await self.polls[path].get()

        async def fresh(path, *_, params=MappingProxyType({})):
            if path == SERVICES and params == NOWHERE:
                return reply(self.registered_at, b"{}")
            self.listed += path == SERVICES
            return self.fresh[path]

        monkeypatch.setattr(sentinels, "parked", parked)
        monkeypatch.setattr(self.census, "fresh", fresh)
        self.sentinels = Sentinels(client, self.census, max_stale=2.0, fits_nodes=lambda count: False)

    async def come_back(self, path, index, body=b"[]"):
        """Answer a parked poll."""
        self.polls[path].put_nowait(reply(index, body))
        for _ in range(5):
            await asyncio.sleep(0)

    async def catch_up(self, index, critical, **others):
        """Ask them all in between; checks are then at `index`, the rest where it was."""
        self.fresh = {path: reply(800, body) for path, body in LISTS.items()}
        self.fresh |= {path: reply(index, b"[]") for path in (WARNING, CHECKS_WRITTEN)}
        self.fresh[CRITICAL] = reply(index, critical)
        await self.census.catch_up()

    @property
    def marked(self):
        return "web" in self.census.dirt.take()


def reply(index, body):
    return Reply(status=200, headers={"x-consul-index": str(index)}, body=body, endpoint="here")


@contextlib.asynccontextmanager
async def following(monkeypatch):
    """Sentinels that have begun at index 900, with a check of another service that is critical."""
    scene = Scene(monkeypatch)
    watch = asyncio.create_task(anext(scene.census.ledger.follow("web")))
    running = asyncio.create_task(scene.sentinels.run())
    for path, body in LISTS.items():
        await scene.come_back(path, 800, body)
    for path in (WARNING, CHECKS_WRITTEN):
        await scene.come_back(path, 900)
    await scene.come_back(CRITICAL, 900, b"[%s]" % OTHER)
    assert scene.marked, "all is read once it has begun"
    yield scene
    watch.cancel()
    running.cancel()
    await asyncio.gather(watch, running, return_exceptions=True)


def test_what_is_heard_by_asking_counts_as_told(monkeypatch):
    async def story():
        async with following(monkeypatch) as scene:
            await scene.catch_up(1000, BOTH)
            assert scene.marked
            await scene.come_back(CRITICAL, 1000, BOTH)
            assert not scene.marked, "the poll tells the same"

    asyncio.run(story())


def test_a_reply_that_was_under_way_while_more_was_heard_is_no_news(monkeypatch):
    async def story():
        async with following(monkeypatch) as scene:
            await scene.catch_up(1000, BOTH)
            assert scene.marked
            await scene.come_back(CRITICAL, 950, b"[%s]" % OTHER)
            assert not scene.marked
            await scene.come_back(CRITICAL, 1001, BOTH)
            assert not scene.marked

    asyncio.run(story())


@pytest.mark.parametrize("told", ["by the poll itself", "by asking", "by the poll, which was behind"])
def test_a_snapshot_that_is_restored_is_read_whole(monkeypatch, told):
    """The index may then be above that of the poll, which slept, and below what was heard by asking, long before."""
    monkeypatch.setattr(sentinels, "LAG_SECONDS", -2.0)

    async def story():
        async with following(monkeypatch) as scene:
            if told == "by the poll itself":
                await scene.come_back(CRITICAL, 850, BOTH)
            else:
                await scene.catch_up(1000, b"[%s]" % OTHER)
                assert not scene.marked
                if told == "by asking":
                    await scene.catch_up(950, BOTH)
                else:
                    await scene.come_back(CRITICAL, 950, BOTH)
            assert scene.marked
            assert "n1" in scene.census.ailing._told[CRITICAL]

    asyncio.run(story())


def test_what_ails_is_compared_whenever_it_is_asked_for(monkeypatch):
    """So that an audit finds what was wrong, though nothing moved."""

    async def story():
        async with following(monkeypatch) as scene:
            await scene.catch_up(900, BOTH)
            assert scene.marked

    asyncio.run(story())


@pytest.mark.parametrize(
    ("registered_at", "listed"), [(800, 0), (801, 1), (799, 1)], ids=["nothing", "something", "a snapshot was restored"]
)
def test_services_are_listed_in_between_only_if_any_was_registered(monkeypatch, registered_at, listed):
    async def story():
        async with following(monkeypatch) as scene:
            scene.registered_at = registered_at
            await scene.catch_up(1000, BOTH)
            assert scene.listed == listed
            assert scene.census.indexes[SERVICES] == 800

    asyncio.run(story())
