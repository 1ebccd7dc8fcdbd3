"""Watching by the rules: restarts, stale answers, turns within the budget, and nothing ever empty by mistake."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import pytest

from ctemplate.catalog.consul import blocking, polling, watch
from ctemplate.catalog.consul.catalog import ConsulCatalog
from ctemplate.catalog.consul.opener import endpoints_of
from ctemplate.errors import ConfigError, Refused, Unavailable
from ctemplate.model import Answer, Instance, KeyValue, Kind, Query, ServiceName
from ctemplate.settings import Consul

WEB = Query(kind=Kind.SERVICE, name="web")
LISTING = Query(kind=Kind.SERVICES)


def entry(port):
    return {"Node": {"Node": "n1", "Address": "10.0.0.1"}, "Service": {"ID": "w", "Service": "web", "Port": port}}


def ports(answer: Answer) -> list[int]:
    return [each.port for each in answer.value if isinstance(each, Instance)]


@asynccontextmanager
async def catalog_of(*servers, **settings):
    catalog = ConsulCatalog(
        endpoints_of(",".join(server.address for server in servers), tls=False),
        replace(Consul(), **settings),
        emit=lambda event: None,
    )
    try:
        yield catalog
    finally:
        await catalog.aclose()


def playing(*replies):
    """One reply a request; when they are used up, none."""
    left = list(replies)

    async def script(asked, writer):
        if not left:
            await asyncio.sleep(3600)
        writer.write(left.pop(0))

    return script


async def read(watching, count):
    """Take `count` answers."""
    async with asyncio.timeout(10):
        return [await anext(watching) for _ in range(count)]


def test_the_first_read_asks_at_once_and_the_next_parks_at_its_index(serving, response):
    async def story():
        async with serving(playing(response([entry(1)], index=7), response([entry(2)], index=9))) as server:
            async with catalog_of(server) as catalog, aclosing(catalog.watch(WEB)) as watching:
                assert [ports(answer) for answer in await read(watching, 2)] == [[1], [2]]
            first, second = server.asked[:2]
            assert first.path == "/v1/health/service/web"
            assert first.params == {"stale": ""}
            assert second.params.keys() == {"stale", "index", "wait"}
            assert second.params["index"] == "7"

    asyncio.run(story())


def test_two_who_watch_the_listing_park_one_poll(serving, response):
    async def story():
        async with (
            serving(playing(response({"web": []}, index=7), response({"api": []}, index=9))) as server,
            catalog_of(server) as catalog,
            aclosing(catalog.watch(LISTING)) as one,
            aclosing(catalog.watch(LISTING)) as other,
        ):
            said = await asyncio.gather(read(one, 2), read(other, 2))
            assert said[0] == said[1] == [Answer((ServiceName("web"),)), Answer((ServiceName("api"),))]
            assert len(server.asked) == 2

    asyncio.run(story())


def test_who_comes_a_moment_later_begins_with_the_last_listing_and_misses_nothing(serving, response):
    async def story():
        async with (
            serving(playing(response({"web": []}, index=7), response({"api": []}, index=9))) as server,
            catalog_of(server) as catalog,
        ):
            async with aclosing(catalog.watch(LISTING)) as one:
                await read(one, 1)
            async with aclosing(catalog.watch(LISTING)) as other:
                assert await read(other, 2) == [Answer((ServiceName("web"),)), Answer((ServiceName("api"),))]
            assert [asked.params.get("index") for asked in server.asked[:2]] == [None, "7"]

    asyncio.run(story())


@pytest.mark.parametrize("broken", [LISTING, WEB], ids=["its own poll", "another"])
def test_after_a_fault_a_listing_is_asked_for_from_the_start(serving, response, broken):
    """The agent may have restarted, and count from elsewhere: it would hold a poll from the old index for a minute."""

    async def script(asked, writer):
        if asked.path.endswith("web"):
            writer.close()
        elif "index" not in asked.params:
            writer.write(response({"web": []}, index=90))
        elif broken is LISTING:
            writer.close()
        else:
            await asyncio.sleep(3600)

    async def story():
        async with serving(script) as server, catalog_of(server) as catalog:
            async with aclosing(catalog.watch(LISTING)) as watching:
                await read(watching, 1)
                with pytest.raises(Unavailable):
                    await (anext(watching) if broken is LISTING else read(catalog.watch(WEB), 1))
            async with aclosing(catalog.watch(LISTING)) as watching:
                await read(watching, 1)
            listings = [asked for asked in server.asked if not asked.path.endswith("web")]
            assert sum("index" not in asked.params for asked in listings) == 2

    asyncio.run(story())


def test_who_comes_later_than_that_asks_anew(serving, response, monkeypatch):
    monkeypatch.setattr(polling, "RECENT_SECONDS", 0.0)

    async def story():
        async with (
            serving(playing(response({"web": []}, index=7), response({"api": []}, index=7))) as server,
            catalog_of(server) as catalog,
        ):
            for listed in ("web", "api"):
                async with aclosing(catalog.watch(LISTING)) as watching:
                    assert await read(watching, 1) == [Answer((ServiceName(listed),))]
            assert "index" not in server.asked[1].params

    asyncio.run(story())


def test_data_that_change_under_an_equal_index_are_seen(serving, response):
    async def story():
        async with (
            serving(playing(response([entry(1)], index=7), response([entry(2)], index=7))) as server,
            catalog_of(server) as catalog,
            aclosing(catalog.watch(WEB)) as watching,
        ):
            assert [ports(answer) for answer in await read(watching, 2)] == [[1], [2]]

    asyncio.run(story())


def test_an_equal_answer_is_repeated_as_the_same_object(serving, response):
    async def story():
        async with (
            serving(playing(response([entry(1)], index=7), response([entry(1)], index=9))) as server,
            catalog_of(server) as catalog,
            aclosing(catalog.watch(WEB)) as watching,
        ):
            first, second = await read(watching, 2)
            assert first is second

    asyncio.run(story())


def test_an_index_that_goes_backwards_is_followed_by_a_read_from_the_start(serving, response):
    async def story():
        replies = [response([entry(1)], index=90), response([entry(0)], index=3), response([entry(2)], index=3)]
        async with serving(playing(*replies)) as server:
            async with catalog_of(server) as catalog, aclosing(catalog.watch(WEB)) as watching:
                assert [ports(answer) for answer in await read(watching, 2)] == [[1], [2]]
            assert "index" not in server.asked[2].params

    asyncio.run(story())


def test_an_answer_that_is_too_stale_is_asked_of_the_leader_at_once(serving, response):
    async def story():
        stale = response([], index=7, X_Consul_LastContact="2001")
        async with serving(playing(stale, response([entry(1)], index=7))) as server:
            async with catalog_of(server) as catalog, aclosing(catalog.watch(WEB)) as watching:
                assert [ports(answer) for answer in await read(watching, 1)] == [[1]]
            assert [asked.params for asked in server.asked] == [{"stale": ""}, {}]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("reply", "kind", "reason"),
    [
        pytest.param({"value": [], "X_Consul_KnownLeader": "false"}, Unavailable, "no leader", id="no leader"),
        pytest.param({"value": [], "index": None}, Unavailable, "X-Consul-Index", id="a stray web server's []"),
        pytest.param({"value": b"", "status": 404}, Unavailable, "is this Consul", id="404"),
        pytest.param({"value": {}}, Unavailable, "shape", id="the wrong shape"),
        pytest.param({"value": b"[{"}, Unavailable, "shape", id="no JSON"),
        pytest.param({"value": None}, Unavailable, "shape", id="null"),
        pytest.param({"value": b"oops", "status": 500}, Unavailable, "500: oops", id="500"),
        pytest.param({"value": b"no", "status": 403}, Refused, 'service "web" { policy', id="403"),
        pytest.param(
            {"value": [], "X_Consul_Results_Filtered_By_ACLs": "true"}, Refused, "may not see", id="filtered by ACLs"
        ),
    ],
)
def test_no_fault_ever_becomes_an_answer(serving, response, reply, kind, reason):
    reply = dict(reply)

    async def story():
        broken = response(reply.pop("value"), **reply)
        async with serving(playing(response([entry(1)]), broken, broken)) as server, catalog_of(server) as catalog:
            async with aclosing(catalog.watch(WEB)) as watching:
                await read(watching, 1)
                with pytest.raises(kind, match=reason):
                    await read(watching, 1)
            with pytest.raises(kind, match=reason):
                await catalog.confirm(WEB)

    asyncio.run(story())


def test_a_listing_that_acls_filter_is_a_listing(serving, response):
    async def story():
        async with (
            serving(playing(response({"web": []}, X_Consul_Results_Filtered_By_ACLs="true"))) as server,
            catalog_of(server) as catalog,
            aclosing(catalog.watch(LISTING)) as watching,
        ):
            assert (await read(watching, 1))[0].value == (ServiceName("web"),)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("query", "path", "value"),
    [
        (Query(kind=Kind.KEY, name="app/colour"), "/v1/kv/app/colour", None),
        (Query(kind=Kind.KEYS, name="/app/"), "/v1/kv/app/", ()),
        (Query(kind=Kind.KEYS, name=""), "/v1/kv/", ()),
    ],
)
def test_a_key_that_is_not_there_is_an_answer_and_is_watched_on(serving, response, query, path, value):
    pair = {"Key": "app/colour", "Value": "Ymx1ZQ=="}

    async def story():
        async with serving(playing(response(b"", status=404, index=4), response([pair], index=6))) as server:
            async with catalog_of(server) as catalog, aclosing(catalog.watch(query)) as watching:
                absent, there = await read(watching, 2)
                assert absent.value == value
                if query.kind is Kind.KEY:
                    assert there.value == "blue"
                else:
                    assert there.value == (KeyValue("colour" if query.name else "app/colour", "blue"),)
            assert server.asked[0].path == path
            assert server.asked[1].params["index"] == "4"

    asyncio.run(story())


def test_a_404_for_a_key_from_something_that_is_not_consul_is_no_answer(serving, response):
    async def story():
        async with (
            serving(playing(response(b"", status=404, index=None))) as server,
            catalog_of(server) as catalog,
            aclosing(catalog.watch(Query(kind=Kind.KEY, name="k"))) as w,
        ):
            with pytest.raises(Unavailable, match="not Consul"):
                await read(w, 1)

    asyncio.run(story())


def test_a_value_that_is_no_text_is_refused_and_not_shown(serving, response):
    async def story():
        async with (
            serving(playing(response([{"Key": "k", "Value": "//79"}]))) as server,
            catalog_of(server) as catalog,
            aclosing(catalog.watch(Query(kind=Kind.KEY, name="k"))) as w,
        ):
            with pytest.raises(Refused, match="not UTF-8") as caught:
                await read(w, 1)
            assert caught.value.__cause__ is None

    asyncio.run(story())


def test_options_go_along_and_names_are_quoted(serving, response):
    query = Query(kind=Kind.SERVICE, name="a/b?c d", dc="dc2", near="_agent", filter='"x" in Service.Tags')

    async def story():
        async with serving(playing(response([entry(1)]))) as server:
            async with catalog_of(server, max_stale=0) as catalog, aclosing(catalog.watch(query)) as watching:
                await read(watching, 1)
            (asked,) = server.asked
            assert asked.path == "/v1/health/service/a%2Fb%3Fc%20d"
            assert asked.params == {"dc": "dc2", "near": "_agent", "filter": '"x" in Service.Tags'}

    asyncio.run(story())


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_is_none_is_refused_without_asking(serving, name):
    async def story():
        async with serving(playing()) as server:
            async with catalog_of(server) as catalog:
                with pytest.raises(Refused, match="names no"):
                    await catalog.confirm(Query(kind=Kind.SERVICE, name=name))
            assert server.asked == []

    asyncio.run(story())


def test_confirming_asks_the_leader_and_its_peers(serving, response):
    async def story():
        async with serving(playing(response([entry(3)]))) as server:
            async with catalog_of(server) as catalog:
                assert ports(await catalog.confirm(WEB)) == [3]
            assert server.asked[0].params == {"consistent": ""}

    asyncio.run(story())


def test_datacenters_are_read_again_without_parking(serving, response, monkeypatch):
    monkeypatch.setattr(watch, "LISTEN_SECONDS", 0.01)

    async def story():
        async with serving(playing(response(["dc1"], index=None), response(["dc1", "dc2"], index=None))) as server:
            async with catalog_of(server) as catalog, aclosing(catalog.watch(Query(kind=Kind.DATACENTERS))) as w:
                assert [answer.value for answer in await read(w, 2)] == [("dc1",), ("dc1", "dc2")]
            assert all("index" not in asked.params for asked in server.asked)

    asyncio.run(story())


def test_a_poll_that_hears_nothing_for_longer_than_its_wait_allows_is_unavailable(serving, response, monkeypatch):
    monkeypatch.setattr(blocking, "WAIT_SECONDS", 0.04)
    monkeypatch.setattr(blocking, "SLACK_SECONDS", 0.01)

    async def story():
        async with (
            serving(playing(response([entry(1)]))) as server,
            catalog_of(server) as catalog,
            aclosing(catalog.watch(WEB)) as watching,
        ):
            await read(watching, 1)
            with pytest.raises(Unavailable, match="no whole answer"):
                await read(watching, 1)
            assert catalog.connections() == 0

    asyncio.run(story())


class Agent:
    """Answers as Consul does: parks a poll until its service changes."""

    def __init__(self, response):
        self.response = response
        self.index = 10
        self.port = dict[str, int]()
        self.since = dict[str, int]()
        self.changed = asyncio.Event()

    def set(self, name, port):
        self.index += 1
        self.port[name] = port
        self.since[name] = self.index
        self.changed.set()
        self.changed = asyncio.Event()

    async def __call__(self, asked, writer):
        name = asked.path.rpartition("/")[2]
        while self.since.get(name, 0) <= int(asked.params.get("index", -1)):
            await self.changed.wait()
        writer.write(self.response([entry(self.port.get(name, 0))], index=self.index))


@pytest.fixture
def turns_are_quick(monkeypatch):
    monkeypatch.setattr(watch, "TURN_SECONDS", 0.02)
    monkeypatch.setattr(watch, "READS_PER_SECOND", 2000.0)


@pytest.mark.parametrize("count", [7, 8, 60])
def test_more_watches_than_the_budget_all_follow_within_it(serving, response, eventually_soon, turns_are_quick, count):
    """Eight connections hold seven parked polls; an eighth watch that cannot share makes all take turns."""

    async def story():
        agent = Agent(response)
        latest: dict[str, int] = {}

        async def follow(catalog, name):
            async with aclosing(catalog.watch(Query(kind=Kind.SERVICE, name=name, filter="any"))) as watching:
                async for answer in watching:
                    (latest[name],) = ports(answer)

        async with serving(agent) as server, catalog_of(server, max_connections=8) as catalog:
            names = [f"s{n}" for n in range(count)]
            tasks = [asyncio.create_task(follow(catalog, name)) for name in names]
            await eventually_soon(lambda: len(latest) == count)
            for round_ in (1, 2):
                for name in names:
                    agent.set(name, round_)
                await eventually_soon(lambda expected=round_: set(latest.values()) == {expected})
            parked = [asked for asked in server.asked if "index" in asked.params]
            assert bool(parked) == (count <= 7)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert server.most_open <= 8

    asyncio.run(story())


def test_a_read_is_possible_while_every_place_is_parked_on(serving, response, eventually_soon):
    async def story():
        agent = Agent(response)
        async with serving(agent) as server, catalog_of(server, max_connections=2) as catalog:

            async def follow():
                async with aclosing(catalog.watch(WEB)) as watching:
                    async for _ in watching:
                        pass

            task = asyncio.create_task(follow())
            await eventually_soon(lambda: any("index" in asked.params for asked in server.asked))
            async with asyncio.timeout(5):
                await catalog.confirm(Query(kind=Kind.SERVICE, name="other"))
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    asyncio.run(story())


def test_a_service_that_changes_all_the_time_is_read_ten_times_a_second_and_no_more(serving, response):
    indexes = iter(range(1, 100_000))

    async def always_new(asked, writer):
        writer.write(response([entry(next(indexes) % 60_000)], index=next(indexes)))

    async def story():
        async with serving(always_new) as server, catalog_of(server) as catalog:
            async with aclosing(catalog.watch(WEB)) as watching:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        async for _ in watching:
                            pass
            assert len(server.asked) <= 8

    asyncio.run(story())


def test_watches_that_take_turns_leave_the_agent_in_peace(serving, response, monkeypatch):
    monkeypatch.setattr(watch, "TURN_SECONDS", 0.2)

    async def story():
        async with serving(Agent(response)) as server, catalog_of(server, max_connections=8) as catalog:

            async def follow(name):
                async with aclosing(catalog.watch(Query(kind=Kind.SERVICE, name=name, filter="any"))) as watching:
                    async for _ in watching:
                        pass

            tasks = [asyncio.create_task(follow(f"s{n}")) for n in range(20)]
            await asyncio.wait(tasks, timeout=0.5)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert len(server.asked) <= 20 * 5, "a turn comes no sooner than three quarters of 0.2 s"

    asyncio.run(story())


def test_a_budget_too_small_to_park_and_read_is_an_error():
    with pytest.raises(ConfigError, match="max_connections is 1"):
        ConsulCatalog(endpoints_of("h", tls=False), replace(Consul(), max_connections=1), emit=print)
