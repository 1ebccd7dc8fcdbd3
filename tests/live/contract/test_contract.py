"""What every catalog owes to whoever asks it (ctemplate/catalog/base.py): the same tests for each of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pytest
import tomli_w

from contract import BAD, SERVICE, Server
from contract.following import DEADLINE_SECONDS, Following, following
from ctemplate.catalog.base import Catalog
from ctemplate.catalog.events import CatalogBack, CatalogLost, InstanceLeftOut
from ctemplate.catalog.registry import open_catalog
from ctemplate.errors import CatalogError, Refused, Unavailable
from ctemplate.events import Event
from ctemplate.model import Instance, Kind, Query
from ctemplate.settings import CatalogSource, Consul

WEB = Query(kind=Kind.SERVICE, name=SERVICE)
LISTING = Query(kind=Kind.SERVICES)

pytestmark = pytest.mark.timeout(240)


def opened(server: Server, events: list[Event], *, at: tuple[CatalogSource, Consul] | None = None) -> Catalog:
    source, consul = at or (server.source(), server.consul)
    return open_catalog(source, consul, emit=events.append)


def follow(server: Server, story: Callable[[Following, Catalog], Awaitable[None]]) -> None:
    """Run `story` with `WEB` and `LISTING` kept open by a hub."""

    async def main() -> None:
        events: list[Event] = []
        catalog = opened(server, events)
        async with following(catalog, WEB, LISTING, events=events) as f:
            await story(f, catalog)

    asyncio.run(main())


async def do(change: Callable[..., None], *arguments: str | int) -> None:
    """Do something to the server without stopping the event loop."""
    await asyncio.to_thread(change, *arguments)


def ports(value: tuple[Instance, ...]) -> list[int]:
    return sorted(instance.port for instance in value)


def holding(*expected: int) -> Callable[[tuple[Instance, ...]], bool]:
    return lambda value: ports(value) == sorted(expected)


def seen(f: Following) -> list[list[int]]:
    """The ports of each different answer, in their order."""
    found: list[list[int]] = []
    for value in f.values(WEB):
        if not found or found[-1] != ports(value):
            found.append(ports(value))
    return found


def test_an_instance_appears_changes_and_disappears(server: Server):
    async def story(f: Following, catalog: Catalog) -> None:
        await f.until(WEB, holding(7001))
        await do(server.put, "two", 7002)
        answer = await f.until(WEB, holding(7001, 7002))
        assert list(answer.value) == sorted(answer.value, key=lambda i: (i.node, i.id))
        assert {(i.name, i.status) for i in answer.value} == {(SERVICE, "passing")}
        await do(server.put, "two", 7003)
        await f.until(WEB, holding(7001, 7003))
        await do(server.remove, "two")
        await f.until(WEB, holding(7001))
        assert seen(f)[0] == seen(f)[-1] == [7001]

    server.put("one", 7001)
    follow(server, story)


def test_the_last_instance_disappears_too(server: Server):
    async def story(f: Following, catalog: Catalog) -> None:
        await f.until(WEB, holding(7001))
        await do(server.remove, "one")
        await f.until(WEB, holding())
        await do(server.put, "two", 7002)
        await f.until(WEB, holding(7002))

    server.put("one", 7001)
    follow(server, story)


def test_the_listing_names_the_service_while_it_has_instances(server: Server):
    async def story(f: Following, catalog: Catalog) -> None:
        await f.until(LISTING, lambda names: SERVICE in [name.name for name in names])
        await do(server.remove, "one")
        await f.until(LISTING, lambda names: SERVICE not in [name.name for name in names])

    server.put("one", 7001)
    follow(server, story)


def test_a_server_that_is_gone_leaves_the_answer_and_is_followed_again_when_it_is_back(server: Server):
    async def story(f: Following, catalog: Catalog) -> None:
        await f.until(WEB, holding(7001, 7002))
        await do(server.kill)
        failure = await f.until_failed(WEB)
        assert not failure.refused
        await f.until_told(CatalogLost)
        with pytest.raises(Unavailable):
            await catalog.confirm(WEB)
        await do(server.start)
        await f.until_mended(WEB)
        await do(server.put, "three", 7003)
        await f.until(WEB, holding(7001, 7002, 7003))
        assert seen(f) == [[7001, 7002], [7001, 7002, 7003]]
        await f.until_told(CatalogBack)
        assert [type(e) for e in f.events if isinstance(e, CatalogLost | CatalogBack)] == [CatalogLost, CatalogBack]

    server.put("one", 7001)
    server.put("two", 7002)
    follow(server, story)


def test_a_server_that_comes_back_empty_is_followed_again(server: Server):
    async def story(f: Following, catalog: Catalog) -> None:
        await f.until(WEB, holding(7001, 7002))
        await do(server.restart_empty)
        await do(server.put, "three", 7003)
        await f.until(WEB, holding(7003))

    server.put("one", 7001)
    server.put("two", 7002)
    follow(server, story)


def test_a_frozen_server_changes_nothing_and_holds_nobody_who_gives_up(server: Server):
    async def story(f: Following, catalog: Catalog) -> None:
        await f.until(WEB, holding(7001))
        await do(server.freeze)
        with pytest.raises((TimeoutError, Unavailable)):
            async with asyncio.timeout(0.5):
                await catalog.confirm(WEB)
        await do(server.thaw)
        await do(server.put, "two", 7002)
        await f.until(WEB, holding(7001, 7002))
        assert seen(f) == [[7001], [7001, 7002]]

    server.put("one", 7001)
    follow(server, story)


def test_a_network_that_loses_everything_takes_nothing_away(server: Server):
    async def story(f: Following, catalog: Catalog) -> None:
        await f.until(WEB, holding(7001, 7002))
        await do(server.part)
        await do(server.remove, "one")
        await do(server.put, "three", 7003)
        with pytest.raises((TimeoutError, Unavailable)):
            async with asyncio.timeout(1):
                await catalog.confirm(WEB)
        assert seen(f) == [[7001, 7002]]
        await do(server.join)
        await f.until(WEB, holding(7002, 7003))

    server.put("one", 7001)
    server.put("two", 7002)
    follow(server, story)


def test_half_an_answer_is_no_answer(server: Server):
    before = list(range(7001, 7001 + server.several))

    async def story(f: Following, catalog: Catalog) -> None:
        await f.until(WEB, holding(*before))
        await do(server.spoil)
        await do(server.put, "more", 7999)
        await f.until_failed(WEB)
        with pytest.raises(Unavailable):
            await catalog.confirm(WEB)
        assert seen(f) == [before]
        await do(server.mend)
        await f.until(WEB, holding(*before, 7999))
        assert seen(f) == [before, [*before, 7999]]

    for port in before:
        server.put(f"of-{port}", port)
    follow(server, story)


def test_an_instance_that_cannot_be_one_is_left_out_and_named_without_its_value(server: Server):
    async def story(f: Following, catalog: Catalog) -> None:
        answer = await f.until(WEB, holding(7001))
        (bad,) = answer.bad
        assert bad.name == SERVICE
        assert bad.reason
        (told,) = [event for event in f.events if isinstance(event, InstanceLeftOut)]
        assert BAD not in repr(bad) + repr(told) + told.text()

    server.put("one", 7001)
    server.put_bad("two")
    follow(server, story)


def test_whoever_may_not_read_is_told_so_without_what_they_showed(server: Server):
    async def main() -> None:
        catalog = opened(server, [], at=stranger)
        async with asyncio.timeout(DEADLINE_SECONDS):
            async with aclosing(catalog.watch(WEB)) as watch:
                with pytest.raises(Refused) as watched:
                    await anext(watch)
            with pytest.raises(Refused) as confirmed:
                await catalog.confirm(WEB)
            await catalog.aclose()
        assert BAD not in f"{watched.value} {confirmed.value}"

    server.put("one", 7001)
    stranger = server.stranger()
    asyncio.run(main())


def test_confirming_reads_what_is_there_now(server: Server):
    async def main() -> None:
        catalog = opened(server, [])
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert ports((await catalog.confirm(WEB)).value) == [7001]
            await do(server.put, "two", 7002)
            assert ports((await catalog.confirm(WEB)).value) == [7001, 7002]
            await catalog.aclose()
        assert catalog.connections() == 0

    server.put("one", 7001)
    asyncio.run(main())


def test_a_question_that_a_catalog_cannot_answer_is_refused(server: Server):
    async def main() -> None:
        catalog = opened(server, [])
        async with asyncio.timeout(DEADLINE_SECONDS):
            async with aclosing(catalog.watch(text)) as watch:
                with pytest.raises(Refused):
                    await anext(watch)
            with pytest.raises(Refused):
                await catalog.confirm(text)
            await catalog.aclose()

    text = Query(kind=Kind.TEXT, name="/etc/hostname")
    asyncio.run(main())


@pytest.mark.parametrize("when", ["parked", "frozen"])
def test_closing_a_watch_frees_everything_that_it_held(server: Server, when: str, eventually):
    async def main() -> None:
        catalog = opened(server, [])
        async with asyncio.timeout(DEADLINE_SECONDS):
            watches = [catalog.watch(Query(kind=Kind.SERVICE, name=SERVICE, catalog=str(n))) for n in range(3)]
            if when == "parked":
                for watch in watches:
                    await anext(watch)
            waiting = [asyncio.create_task(anext(watch)) for watch in watches]
            await asyncio.wait(waiting, timeout=0.2)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            for watch in watches:
                await watch.aclose()
            await catalog.aclose()
            assert catalog.connections() == 0
            await asyncio.to_thread(eventually, lambda: server.connections() == 0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left

    server.put("one", 7001)
    if when == "frozen":
        server.freeze()
    before = set(threading.enumerate())
    asyncio.run(main())
    eventually(lambda: {t for t in threading.enumerate() if t not in before and not t.daemon} == set())


def test_a_catalog_says_where_it_is(server: Server):
    async def main() -> None:
        catalog = opened(server, [], at=(source, Consul(token=BAD)))
        assert catalog.describe()
        assert BAD not in catalog.describe()
        assert catalog.connections() == 0
        await catalog.aclose()

    source = server.source()
    asyncio.run(main())


def test_what_fails_names_the_server(server: Server):
    async def main() -> None:
        catalog = opened(server, [])
        async with asyncio.timeout(DEADLINE_SECONDS):
            with pytest.raises(CatalogError) as caught:
                await catalog.confirm(WEB)
            assert any(part in str(caught.value) for part in where)
            await catalog.aclose()

    where = [part for part in server.source().url.partition(":")[2].strip("/").split(",") if part]
    server.kill()
    try:
        asyncio.run(main())
    finally:
        server.start()


TEMPLATE = """\
upstream web {
{% for i in service("web") %}
    server {{ i.endpoint }} weight={{ i.weight }};
{% endfor %}
}
"""


def test_the_same_template_gives_the_same_server_lines(server: Server, ctemplate, tmp_path):
    for id, port in (("one", 7001), ("two", 7002)):
        server.put(id, port)
    source = server.source()
    config = {
        "catalog": {"main": {"url": source.url, **source.options}},
        "template": [{"contents": TEMPLATE, "destination": "upstream.conf", "format": "nginx"}],
    }
    if server.consul.token:
        config["consul"] = {"token": server.consul.token}
    (tmp_path / "ctemplate.toml").write_text(tomli_w.dumps(config))

    done = ctemplate.run("-once", "-config", tmp_path / "ctemplate.toml", timeout=60)

    assert done.code == 0, done.err
    assert (tmp_path / "upstream.conf").read_text() == (
        "upstream web {\n    server 127.0.0.1:7001 weight=1;\n    server 127.0.0.1:7002 weight=1;\n}\n"
    )
