"""The ZooKeeper catalog behind the hub, on a real server: paths that vanish and come back, sessions, rights, keys."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from kazoo.security import make_digest_acl

from ctemplate.catalog.events import CatalogBack, CatalogLost
from ctemplate.catalog.registry import open_catalog
from ctemplate.errors import ConfigError
from ctemplate.model import BadRecord, KeyValue, Kind, Query, ServiceName
from ctemplate.settings import CatalogSource, Consul

WEB = Query(kind=Kind.SERVICE, name="web")
SERVICES = Query(kind=Kind.SERVICES)


async def do(change, *arguments, **options):
    """Change something without stopping the event loop."""
    return await asyncio.to_thread(change, *arguments, **options)


def ports(value) -> list[int]:
    return sorted(instance.port for instance in value)


def record(port: int) -> dict[str, object]:
    return {"name": "web", "id": f"i-{port}", "address": "10.0.0.1", "port": port}


def test_a_service_is_followed_though_its_path_vanishes_and_comes_back(zookeeper, follow):
    async def story() -> None:
        zookeeper.put("/services/web/a", record(1))
        async with follow(f"zookeeper://{zookeeper.address}/services", WEB, SERVICES) as f:
            await f.until(WEB, lambda found: ports(found) == [1])
            await f.until(SERVICES, lambda found: found == (ServiceName("web"),))
            for port in range(2, 5):
                await do(zookeeper.delete, "/services/web")
                await f.until(WEB, lambda found: found == ())
                await f.until(SERVICES, lambda found: found == ())
                await do(zookeeper.put, "/services/web/a", record(port))
                await f.until(WEB, lambda found, port=port: ports(found) == [port])
            # What a child holds changes, which a watch of the children alone does not see.
            await do(zookeeper.put, "/services/web/a", record(9))
            await f.until(WEB, lambda found: ports(found) == [9])
            assert f.catalog.connections() == 1

    asyncio.run(story())


def test_a_service_that_never_was_is_unknown_until_it_is(zookeeper, follow):
    async def story() -> None:
        async with follow(f"zookeeper://{zookeeper.address}/services", WEB) as f:
            failure = await f.until_failed(WEB)
            assert "absent_is_empty" in failure.reason
            assert f.values(WEB) == []
            await do(zookeeper.put, "/services/web/a", record(1))
            await f.until(WEB, lambda found: ports(found) == [1])
        async with follow(
            f"zookeeper://{zookeeper.address}/services", Query(kind=Kind.SERVICE, name="api"), absent_is_empty=True
        ) as f:
            await f.until(Query(kind=Kind.SERVICE, name="api"), lambda found: found == ())

    asyncio.run(story())


def test_a_missing_base_is_never_an_empty_answer(zookeeper, follow):
    queries = (WEB, SERVICES, Query(kind=Kind.KEY, name="k"), Query(kind=Kind.KEYS, name="f"))

    async def story() -> None:
        async with follow(f"zookeeper://{zookeeper.address}/none/such", *queries, absent_is_empty=True) as f:
            for query in queries:
                assert not (await f.until_failed(query)).refused
                assert f.values(query) == []

    asyncio.run(story())


def test_a_server_that_came_back_empty_takes_nothing_away(make_zookeeper, follow):
    """It refuses a client that has seen more than it has, and has no base: neither says that there is no instance."""

    async def story() -> None:
        server = make_zookeeper()
        server.put("/services/web/a", record(1))
        async with follow(f"zookeeper://{server.address}/services", WEB) as f:
            await f.until(WEB, lambda found: ports(found) == [1])
            await do(server.kill)
            await f.until_told(CatalogLost)
            server.wipe()
            await do(server.start)
            async with asyncio.timeout(30):
                while "come back empty" not in (await f.until_failed(WEB)).reason:  # noqa: ASYNC110  # told once
                    await asyncio.sleep(0.05)
            assert ports(f.known(WEB)) == [1]
            await do(server.put, "/services/web/b", record(2))
            await f.until(WEB, lambda found: ports(found) == [2])

    asyncio.run(story())


def test_a_frozen_server_is_unknown_and_followed_again_when_it_goes_on(make_zookeeper, follow):
    async def story() -> None:
        server = make_zookeeper()
        server.put("/services/web/a", record(1))
        async with follow(f"zookeeper://{server.address}/services", WEB) as f:
            await f.until(WEB, lambda found: ports(found) == [1])
            server.pause()
            await f.until_told(CatalogLost)
            assert ports(f.known(WEB)) == [1]
            server.resume()
            await do(server.put, "/services/web/a", record(2))
            await f.until(WEB, lambda found: ports(found) == [2])
            await f.until_told(CatalogBack)

    asyncio.run(story())


def test_of_several_hosts_one_that_answers_is_enough(zookeeper, follow, free_port):
    async def story() -> None:
        zookeeper.put("/services/web/a", record(1))
        url = f"zookeeper://127.0.0.1:{free_port()},{zookeeper.address}/services"
        async with follow(url, WEB) as f:
            await f.until(WEB, lambda found: ports(found) == [1])

    asyncio.run(story())


def test_a_right_that_is_missing_is_told_of_and_found_when_it_is_given(
    zookeeper, follow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ctemplate.catalog.wanted.REFUSED_SECONDS", (0.3, 0.5))
    password = tmp_path / "password"
    password.write_text("wrong\n")

    async def story() -> None:
        for port in (1, 2):
            zookeeper.put(f"/services/web/{port}", record(port))
        zookeeper.client.add_auth("digest", "lb:s3cret")
        zookeeper.client.set_acls("/services/web/2", [make_digest_acl("lb", "s3cret", all=True)])
        url = f"zookeeper://{zookeeper.address}/services"
        async with follow(url, WEB, user="lb", password_file=str(password)) as f:
            failure = await f.until_failed(WEB)
            assert failure.refused
            assert "/services/web/2" in failure.reason
            assert "wrong" not in failure.reason
            # One child that cannot be read discards the whole read.
            assert f.values(WEB) == []
            password.write_text("s3cret\n")
            await f.until(WEB, lambda found: ports(found) == [1, 2])

    asyncio.run(story())


def test_nodes_are_keys(zookeeper, follow):
    key, folder = Query(kind=Kind.KEY, name="app/name"), Query(kind=Kind.KEYS, name="app")

    async def story() -> None:
        zookeeper.put("/services/app/name", "one")
        zookeeper.put("/services/app/deep/er", "")
        zookeeper.put("/services/app/binary", b"\xff")
        async with follow(f"zookeeper://{zookeeper.address}/services", key, folder) as f:
            await f.until(key, lambda value: value == "one")
            answer = await f.until(folder, lambda found: found == (KeyValue("deep/er", ""), KeyValue("name", "one")))
            assert answer.bad == (BadRecord("binary", "", "", "value is not UTF-8 text"),)
            await do(zookeeper.delete, "/services/app/deep")
            await do(zookeeper.put, "/services/app/name", "two")
            await f.until(key, lambda value: value == "two")
            await f.until(folder, lambda found: found == (KeyValue("name", "two"),))
            await do(zookeeper.delete, "/services/app")
            await f.until(key, lambda value: value is None)
            await f.until(folder, lambda found: found == ())

    asyncio.run(story())


def test_a_place_may_be_below_the_service_and_names_in_the_middle(zookeeper, follow):
    async def story() -> None:
        zookeeper.put("/services/web/services/box_0000000001", json.dumps({"host": "10.0.0.1", "port": 1}))
        zookeeper.put("/services/web/other/box_0000000001", json.dumps({"host": "10.0.0.1", "port": 2}))
        url = f"zookeeper://{zookeeper.address}"
        async with follow(url, WEB, SERVICES, layout="nerve", prefix="/services/{service}/services") as f:
            await f.until(WEB, lambda found: ports(found) == [1])
            await f.until(SERVICES, lambda found: found == (ServiceName("web"),))

    asyncio.run(story())


def test_many_changes_at_once_end_at_the_last(zookeeper, follow):
    async def story() -> None:
        zookeeper.put("/services/web/a", record(1))
        async with follow(f"zookeeper://{zookeeper.address}/services", WEB) as f:
            await f.until(WEB, lambda found: ports(found) == [1])
            for port in range(2, 60):
                await do(zookeeper.put, f"/services/web/{port % 7}", record(port))
            await do(zookeeper.delete, "/services/web/a")
            await f.until(WEB, lambda found: ports(found) == list(range(53, 60)))

    asyncio.run(story())


def test_nothing_is_left_when_a_catalog_is_closed(zookeeper, follow, eventually):
    async def story() -> None:
        zookeeper.put("/services/web/a", record(1))
        async with follow(f"zookeeper://{zookeeper.address}/services", WEB) as f:
            await f.until(WEB, lambda found: ports(found) == [1])

    assert zookeeper.client.connected
    before = threading.active_count()
    asyncio.run(story())
    eventually(lambda: threading.active_count() <= before)


@pytest.mark.parametrize(
    "query",
    [
        Query(kind=Kind.NODES),
        Query(kind=Kind.SERVICE, name="a/b"),
        Query(kind=Kind.SERVICE, name=".."),
        Query(kind=Kind.SERVICE, name="web", filter="x"),
        Query(kind=Kind.KEY),
    ],
)
def test_what_zookeeper_has_no_notion_of_is_refused(zookeeper, follow, query: Query):
    async def story() -> None:
        async with follow(f"zookeeper://{zookeeper.address}", query) as f:
            assert (await f.until_failed(query)).refused

    asyncio.run(story())


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("zookeeper://", {}, "zookeeper://host"),
        ("zookeeper://h", {"layout": "confd"}, "known: curator, spring, serverset, nerve, registrator"),
        ("zookeeper://h", {"endpoint": "x"}, "serverset"),
        ("zookeeper://h", {"prefix": "a-{service}"}, "between slashes"),
        ("zookeeper://h", {"nothing": 1}, "nothing"),
        ("zookeeper://https://h", {}, "ZooKeeper address"),
    ],
)
def test_settings_that_are_wrong_are_named(url: str, options: dict[str, object], words: str):
    with pytest.raises(ConfigError) as caught:
        open_catalog(CatalogSource(url=url, options=options), Consul(), emit=lambda _: None)
    assert words in str(caught.value)


def test_without_kazoo_the_error_says_what_to_install(tmp_path: Path):
    program = (
        "import sys; sys.modules['kazoo'] = None\n"
        "from ctemplate.catalog.registry import open_catalog\n"
        "from ctemplate.settings import CatalogSource, Consul\n"
        "open_catalog(CatalogSource(url='zookeeper://h'), Consul(), emit=print)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=30)
    assert "pip install 'ctemplate[zookeeper]'" in ended.stderr.splitlines()[-1]
