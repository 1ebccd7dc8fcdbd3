"""The hub and the Consul catalog against a real agent: every kind of change, and the agent's own ends."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from ctemplate.catalog.events import CatalogBack, CatalogLost, QueryFailed
from ctemplate.catalog.hub import Hub
from ctemplate.catalog.registry import open_catalog
from ctemplate.events import Event
from ctemplate.model import Answer, KeyValue, Kind, Query
from ctemplate.settings import CatalogSource, Consul

WEB = Query(kind=Kind.SERVICE, name="web")


class Following:
    """A hub on a real Consul, and what it told."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.events: list[Event] = []

    async def until(self, query: Query, holds) -> Answer:
        """Wait until the answer to `query` is as it should be, and return it."""
        last = None
        try:
            async with asyncio.timeout(20):
                while True:
                    last = self.hub.snapshot.answers.get(query)
                    if last is not None and holds(last.value):
                        return last
                    await self.hub.next()
        except TimeoutError:
            pytest.fail(f"{query} never came to be as expected; last: {last}; {self.hub.snapshot.failures}")

    async def until_failed(self, query: Query):
        async with asyncio.timeout(20):
            while query not in self.hub.snapshot.failures:
                await self.hub.next()
        return self.hub.snapshot.failures[query]

    async def until_told(self, kind: type[Event]) -> Event:
        async with asyncio.timeout(20):
            while not (found := [event for event in self.events if isinstance(event, kind)]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return found[0]


@asynccontextmanager
async def following(agent, *queries: Query, settings: Consul | None = None):
    events: list[Event] = []
    consul = settings or Consul(token=agent.token)
    catalog = open_catalog(CatalogSource(url=f"consul://{agent.address}"), consul, emit=events.append)
    hub = Hub({"default": catalog}, emit=events.append)
    running = asyncio.create_task(hub.run())
    hub.want(set(queries))
    followed = Following(hub)
    followed.events = events
    try:
        yield followed
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert catalog.connections() == 0


async def do(change, *arguments, **options):
    """Change something in Consul without stopping the event loop."""
    await asyncio.to_thread(change, *arguments, **options)


def test_a_service_is_followed_through_every_kind_of_change(consul):
    async def story():
        async with following(consul, WEB) as f:
            await f.until(WEB, lambda found: found == ())
            await do(consul.register, "web", id="w1", port=8001, tags=["b", "a"], meta={"v": "1"}, weight=4)
            (one,) = (await f.until(WEB, lambda found: len(found) == 1)).value
            assert (one.id, one.address, one.port, one.node, one.tags) == (
                "w1",
                "127.0.0.1",
                8001,
                "node-1",
                ("a", "b"),
            )
            assert (one.meta, one.weight, one.status, one.dc) == ({"v": "1"}, 4, "passing", "dc1")

            await do(consul.register, "web", id="w2", port=8002, node="node-0", address="10.0.0.7")
            found = (await f.until(WEB, lambda found: len(found) == 2)).value
            assert [(i.node, i.id, i.address) for i in found] == [
                ("node-0", "w2", "10.0.0.7"),
                ("node-1", "w1", "127.0.0.1"),
            ]
            await do(consul.deregister, "w2", node="node-0")
            await f.until(WEB, lambda found: len(found) == 1)

            await do(consul.register, "web", id="w1", port=9001, tags=["c"])
            await f.until(WEB, lambda found: (found[0].port, found[0].tags) == (9001, ("c",)))

            for status in ("critical", "warning", "passing"):
                await do(consul.register, "web", id="w1", port=9001, status=status)
                await f.until(WEB, lambda found, status=status: found[0].status == status)
            await do(consul.set_node_status, "critical")
            await f.until(WEB, lambda found: found[0].status == "critical")
            await do(consul.deregister_node, "node-1")
            await f.until(WEB, lambda found: found == ())

    asyncio.run(story())


def test_maintenance_of_an_instance_and_of_a_node_is_seen(consul):
    async def story():
        async with following(consul, WEB) as f:
            await do(consul.register_local, "web", port=80)
            await f.until(WEB, lambda found: len(found) == 1)
            for service_id in ("web", ""):
                await do(consul.maintenance, enable=True, service_id=service_id)
                await f.until(WEB, lambda found: found[0].status == "maintenance")
                await do(consul.maintenance, enable=False, service_id=service_id)
                await f.until(WEB, lambda found: found[0].status == "passing")

    asyncio.run(story())


def test_keys_are_followed_from_missing_to_there_and_back(consul):
    key, tree = Query(kind=Kind.KEY, name="app/colour"), Query(kind=Kind.KEYS, name="app")

    async def story():
        async with following(consul, key, tree) as f:
            await f.until(key, lambda value: value is None)
            await f.until(tree, lambda value: value == ())
            await do(consul.kv_put, "app/colour", "grün")
            await do(consul.kv_put, "app/size/max", "")
            await do(consul.kv_put, "apple/pie", "not below app")
            await f.until(key, lambda value: value == "grün")
            await f.until(tree, lambda found: found == (KeyValue("colour", "grün"), KeyValue("size/max", "")))
            await do(consul.kv_delete, "app/", recurse=True)
            await f.until(key, lambda value: value is None)
            await f.until(tree, lambda value: value == ())

    asyncio.run(story())


def test_listings_and_nodes_are_followed(consul):
    services, nodes = Query(kind=Kind.SERVICES), Query(kind=Kind.NODES)
    node, centers = Query(kind=Kind.NODE, name="node-1"), Query(kind=Kind.DATACENTERS)

    async def story():
        async with following(consul, services, nodes, node, centers) as f:
            await f.until(node, lambda value: value is None)
            await f.until(centers, lambda value: value == ("dc1",))
            await do(consul.register, "web", port=80, tags=["a"], node_address="10.0.0.1", status="critical")
            await f.until(services, lambda found: ("web", ("a",)) in [(s.name, s.tags) for s in found])
            await f.until(nodes, lambda found: ("node-1", "10.0.0.1") in [(n.name, n.address) for n in found])
            there = await f.until(node, lambda value: value is not None and value.services != ())
            assert [(i.name, i.status) for i in there.value.services] == [("web", "critical")]

    asyncio.run(story())


def test_reading_for_certainty_asks_the_leader(consul):
    async def story():
        catalog = open_catalog(CatalogSource(url=f"consul://{consul.address}"), Consul(), emit=print)
        await do(consul.register, "web", port=80)
        assert len((await catalog.confirm(WEB)).value) == 1
        await catalog.aclose()

    asyncio.run(story())


def test_a_filter_that_consul_does_not_understand_is_refused_in_its_own_words(consul):
    wrong = Query(kind=Kind.SERVICE, name="web", filter="no such language")

    async def story():
        async with following(consul, wrong, WEB) as f:
            failure = await f.until_failed(wrong)
            assert failure.refused
            assert "boolean expression" in failure.reason
            await f.until(WEB, lambda found: found == ())

    asyncio.run(story())


def test_an_agent_that_is_killed_and_comes_back_with_its_data_is_followed_again(make_consul):
    async def story():
        agent = await asyncio.to_thread(make_consul, data_dir=True)
        await do(agent.register, "web", port=8001)
        async with following(agent, WEB, Query(kind=Kind.NODES), Query(kind=Kind.DATACENTERS)) as f:
            before = await f.until(WEB, lambda found: len(found) == 1)
            await do(agent.kill)
            await f.until_failed(WEB)
            lost = await f.until_told(CatalogLost)
            assert "Connection refused" in lost.text()
            assert not [event for event in f.events if isinstance(event, QueryFailed)]
            assert f.hub.snapshot.answers[WEB] == before
            await do(agent.start)
            await f.until_told(CatalogBack)
            await do(agent.register, "web", port=8002)
            await f.until(WEB, lambda found: found[0].port == 8002)

    asyncio.run(story())


def test_an_agent_that_comes_back_empty_with_a_lower_index_is_followed_at_once(make_consul):
    async def story():
        agent = await asyncio.to_thread(make_consul)
        for port in range(1, 40):  # the index of the new agent is far below
            await do(agent.register, "web", port=port)
        async with following(agent, WEB) as f:
            await f.until(WEB, lambda found: len(found) == 1)
            await do(agent.kill)
            await f.until_failed(WEB)
            await do(agent.start)
            await f.until(WEB, lambda found: found == ())
            await do(agent.register, "web", port=7)
            await f.until(WEB, lambda found: len(found) == 1 and found[0].port == 7)

    asyncio.run(story())


def test_an_agent_away_at_the_start_leaves_its_queries_unknown_and_not_empty(make_consul):
    async def story():
        agent = await asyncio.to_thread(make_consul)
        await do(agent.kill)
        async with following(agent, WEB) as f:
            await f.until_failed(WEB)
            assert f.hub.snapshot.answers == {}
            await f.until_told(CatalogLost)
            await do(agent.start)
            await f.until(WEB, lambda found: found == ())

    asyncio.run(story())


def test_a_token_that_is_revoked_is_refused_and_the_new_one_in_its_file_is_used(make_consul, tmp_path):
    management = "11111111-2222-3333-4444-555555555555"
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"master": management, "agent": management}}
    rules = 'key_prefix "app" { policy = "read" } service_prefix "" { policy = "read" }'
    key = Query(kind=Kind.KEY, name="app/colour")

    async def story():
        agent = await asyncio.to_thread(make_consul, config={"acl": acl, "primary_datacenter": "dc1"}, token=management)
        await do(agent.kv_put, "app/colour", "blue")
        await do(agent.put, "/v1/acl/policy", {"Name": "reader", "Rules": rules})
        body = {"Policies": [{"Name": "reader"}]}
        old, new = [await asyncio.to_thread(agent.put, "/v1/acl/token", body) for _ in range(2)]
        file = tmp_path / "token"
        file.write_text(old["SecretID"])
        async with following(agent, key, settings=Consul(token_file=file)) as f:
            await f.until(key, lambda value: value == "blue")
            await do(agent.request, "DELETE", f"/v1/acl/token/{old['AccessorID']}")
            await do(agent.kv_put, "app/colour", "red")  # wakes the poll, which is then refused
            failure = await f.until_failed(key)
            assert failure.refused
            assert 'key "app/colour" { policy = "read" }' in failure.reason
            assert old["SecretID"] not in failure.reason
            assert f.hub.snapshot.answers[key].value in ("blue", "red")
            file.write_text(new["SecretID"])
            await do(agent.kv_put, "app/colour", "green")
            f.hub.retry_now()
            await f.until(key, lambda value: value == "green")

    asyncio.run(story())


@pytest.mark.parametrize("count", [250])
def test_more_services_than_an_agent_allows_connections_follow_within_the_budget(consul, count):
    queries = [Query(kind=Kind.SERVICE, name=f"s{n}") for n in range(count)]

    async def story():
        for n in range(0, count, 50):
            await do(consul.register, f"s{n}", port=1000 + n)
        async with following(consul, *queries) as f:
            for n in range(0, count, 50):
                await f.until(queries[n], lambda found, n=n: [i.port for i in found] == [1000 + n])
            await do(consul.register, "s200", port=7)
            await f.until(queries[200], lambda found: found[0].port == 7)
            (report,) = f.hub.reports()
            assert report.watches == count
            assert report.connections <= 64
            assert report.failing == {}
            assert await asyncio.to_thread(consul.get, "/v1/status/leader"), "another client is still served"

    asyncio.run(story())
