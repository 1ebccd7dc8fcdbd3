"""The etcd catalog behind the hub, on real servers: every change, every end of a server, every kind of no."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from ctemplate.catalog.etcd.gateway import Span
from ctemplate.catalog.etcd.opener import open_client
from ctemplate.catalog.etcd.reading import Reading
from ctemplate.catalog.events import CatalogBack, CatalogLost, InstanceLeftOut
from ctemplate.events import Warned
from ctemplate.model import BadRecord, KeyValue, Kind, Query, ServiceName
from ctemplate.settings import CatalogSource

WEB = Query(kind=Kind.SERVICE, name="web")
SERVICES = Query(kind=Kind.SERVICES)


async def do(change, *arguments, **options):
    """Change something without stopping the event loop."""
    return await asyncio.to_thread(change, *arguments, **options)


def ports(value) -> list[int]:
    return [instance.port for instance in value]


def test_a_service_is_followed_through_every_kind_of_change(etcd, follow):
    async def story() -> None:
        async with follow(f"etcd://{etcd.address}/services", WEB, SERVICES) as f:
            await f.until(WEB, lambda found: found == ())
            await do(etcd.put, "/services/web/host-1:web:80", "10.0.0.1:8001")
            (one,) = (await f.until(WEB, lambda found: len(found) == 1)).value
            assert (one.id, one.node, one.address, one.port) == ("host-1:web:80", "host-1", "10.0.0.1", 8001)
            await do(etcd.put, "/services/web/host-0:web:80", "10.0.0.2:8002")
            await f.until(WEB, lambda found: ports(found) == [8002, 8001])
            await do(etcd.put, "/services/web/host-1:web:80", "10.0.0.1:9001")
            await f.until(WEB, lambda found: ports(found) == [8002, 9001])
            await do(etcd.put, "/services/api/a", "10.0.0.3:1")
            await f.until(SERVICES, lambda found: found == (ServiceName("api"), ServiceName("web")))
            await do(etcd.delete, "/services/web/host-1:web:80")
            await f.until(WEB, lambda found: ports(found) == [8002])
            await do(etcd.delete, "/services/", below=True)
            await f.until(WEB, lambda found: found == ())
            await f.until(SERVICES, lambda found: found == ())
            assert f.catalog.connections() == 1

    asyncio.run(story())


def test_what_a_lease_takes_with_it_is_gone(etcd, follow):
    async def story() -> None:
        async with follow(f"etcd://{etcd.address}/services", WEB) as f:
            lease = (await do(etcd.ask, "lease/grant", TTL=1))["ID"]
            body = {"key": "L3NlcnZpY2VzL3dlYi9h", "value": "MTAuMC4wLjE6MQ==", "lease": lease}
            await do(etcd.ask, "kv/put", **body)
            await f.until(WEB, lambda found: ports(found) == [1])
            await f.until(WEB, lambda found: found == ())

    asyncio.run(story())


def test_a_bad_record_is_left_out_and_named_without_its_value(etcd, follow):
    async def story() -> None:
        etcd.put("/services/web/good", "10.0.0.1:8001")
        etcd.put("/services/web/evil", "10.0.0.1;include /etc/passwd:80")
        etcd.put("/services/web/none", b"\xff\xfe")
        async with follow(f"etcd://{etcd.address}/services", WEB) as f:
            answer = await f.until(WEB, lambda found: ports(found) == [8001])
            assert [bad.id for bad in answer.bad] == ["evil", "none"]
            told = await f.until_told(InstanceLeftOut)
            assert "passwd" not in str(told)

    asyncio.run(story())


def test_keys_and_folders_are_followed(etcd, follow):
    key, folder = Query(kind=Kind.KEY, name="app/name"), Query(kind=Kind.KEYS, name="app")

    async def story() -> None:
        etcd.put("/conf/app/name", "one")
        etcd.put("/conf/apple/name", "not this folder's")
        etcd.put("/conf/app/binary", b"\xff")
        async with follow(f"etcd://{etcd.address}/conf", key, folder) as f:
            await f.until(key, lambda value: value == "one")
            answer = await f.until(folder, lambda found: found == (KeyValue("name", "one"),))
            assert answer.bad == (BadRecord("binary", "", "", "value is not UTF-8 text"),)
            await do(etcd.put, "/conf/app/deep/er", "")
            await f.until(folder, lambda found: found == (KeyValue("deep/er", ""), KeyValue("name", "one")))
            await do(etcd.delete, "/conf/app/name")
            await f.until(key, lambda value: value is None)
            await f.until(folder, lambda found: found == (KeyValue("deep/er", ""),))

    asyncio.run(story())


@pytest.mark.parametrize(("base", "name"), [("", "x/y"), ("", "/x/y"), ("/", "x/y"), ("/x", "/y"), ("/x/", "y")])
def test_a_base_is_what_keys_begin_with(etcd, follow, base: str, name: str):
    async def story() -> None:
        etcd.put("/x/y", "slash")
        etcd.put("x/y", "none")
        query = Query(kind=Kind.KEY, name=name)
        async with follow(f"etcd://{etcd.address}{base}", query) as f:
            expected = "none" if not base and not name.startswith("/") else "slash"
            await f.until(query, lambda value: value == expected)

    asyncio.run(story())


def test_more_keys_than_a_page_holds_are_one_answer(etcd, follow, monkeypatch):
    monkeypatch.setattr("ctemplate.catalog.etcd.client.PAGE_KEYS", 7)

    async def story() -> None:
        for n in range(30):
            etcd.put(f"/services/web/{n:02}", f"10.0.0.1:{n + 1}")
        async with follow(f"etcd://{etcd.address}/services", WEB) as f:
            await f.until(WEB, lambda found: ports(found) == list(range(1, 31)))

    asyncio.run(story())


@pytest.mark.parametrize("page", [2, 2000])
def test_a_range_that_is_read_by_what_changed_is_what_a_read_of_all_of_it_says(etcd, monkeypatch, page: int):
    monkeypatch.setattr("ctemplate.catalog.etcd.client.PAGE_KEYS", page)
    chance = random.Random(page)

    def change() -> None:
        key = f"/services/s{chance.randrange(3)}/{chance.randrange(4)}"
        if chance.random() < 0.7:
            etcd.put(key, f"10.0.0.1:{chance.randrange(1, 4)}")
        else:
            etcd.delete(key)
        if chance.random() < 0.1:
            etcd.put("/elsewhere", str(chance.random()))
            etcd.ask("kv/compaction", revision=etcd.revision())

    async def story() -> None:
        client, _ = open_client(CatalogSource(url=f"etcd://{etcd.address}"), emit=pytest.fail)
        span, wholes = Span.below("/services/"), 0
        read = client.read

        async def count(span: Span):
            nonlocal wholes
            wholes += 1
            return await read(span)

        client.read = count
        reading = Reading(client, span)
        for _ in range(150):
            for _ in range(chance.randrange(4)):
                change()
            assert await reading.read() == (await read(span))[0]
        client.peers.close()
        assert 1 < wholes < 140  # some by what changed, some whole

    asyncio.run(story())


def test_compaction_while_watching_loses_nothing(etcd, follow):
    async def story() -> None:
        async with follow(f"etcd://{etcd.address}/services", WEB) as f:
            for port in range(1, 6):
                await do(etcd.put, "/services/web/a", f"10.0.0.1:{port}")
                await f.until(WEB, lambda found, port=port: ports(found) == [port])
                await do(etcd.ask, "kv/compaction", revision=await do(etcd.revision))

    asyncio.run(story())


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_server_that_goes_away_keeps_the_last_answer_and_is_followed_after_its_return(make_etcd, follow, how: str):
    async def story() -> None:
        (server,) = make_etcd()
        server.put("/services/web/a", "10.0.0.1:1")
        async with follow(f"etcd://{server.address}/services", WEB) as f:
            await f.until(WEB, lambda found: ports(found) == [1])
            await do(getattr(server, how))
            failure = await f.until_failed(WEB)
            assert server.address in failure.reason
            assert not failure.refused
            await f.until_told(CatalogLost)
            assert ports(f.known(WEB)) == [1]
            await do(server.start)
            await do(server.put, "/services/web/a", "10.0.0.1:2")
            await f.until(WEB, lambda found: ports(found) == [2])
            await f.until_told(CatalogBack)

    asyncio.run(story())


def test_a_server_that_comes_back_as_another_cluster_or_an_older_one_is_told_of(make_etcd, follow):
    async def story() -> None:
        (server,) = make_etcd()
        for port in range(1, 9):
            server.put("/services/web/a", f"10.0.0.1:{port}")
        async with follow(f"etcd://{server.address}/services", WEB) as f:
            await f.until(WEB, lambda found: ports(found) == [8])
            await do(server.stop)
            server.wipe()
            await do(server.start)
            await do(server.put, "/services/web/b", "10.0.0.1:1")
            await f.until(WEB, lambda found: ports(found) == [1])
            told = await f.until_told(Warned)
            assert "went back from revision 9" in str(told)

    asyncio.run(story())


def test_a_frozen_member_is_left_for_another(make_etcd, follow, monkeypatch):
    monkeypatch.setattr("ctemplate.catalog.etcd.client.READ_SECONDS", 3.0)
    monkeypatch.setattr("ctemplate.catalog.etcd.catalog.REREAD_SECONDS", 1.0)

    async def story() -> None:
        cluster = make_etcd(members=3)
        cluster[0].put("/services/web/a", "10.0.0.1:1")
        hosts = ",".join(member.address for member in cluster)
        async with follow(f"etcd://{hosts}/services", WEB) as f:
            await f.until(WEB, lambda found: ports(found) == [1])
            cluster[0].pause()
            try:
                await f.until_failed(WEB)
                assert ports(f.known(WEB)) == [1]
                async with asyncio.timeout(30):
                    while True:  # the frozen one may have been the leader
                        try:
                            await do(cluster[1].put, "/services/web/a", "10.0.0.1:2")
                            break
                        except Exception:  # whatever: there is no leader yet
                            await asyncio.sleep(0.1)
                await f.until(WEB, lambda found: ports(found) == [2])
                assert f.catalog.describe().startswith(f"http://{cluster[1].address}")
            finally:
                cluster[0].resume()

    asyncio.run(story())


def test_a_cluster_that_loses_its_quorum_is_away_and_not_empty(make_etcd, follow):
    async def story() -> None:
        cluster = make_etcd(members=3)
        cluster[0].put("/services/web/a", "10.0.0.1:1")
        async with follow(f"etcd://{cluster[0].address}/services", WEB) as f:
            await f.until(WEB, lambda found: ports(found) == [1])
            for member in cluster[1:]:
                await do(member.kill)
            failure = await f.until_failed(WEB)
            assert not failure.refused
            await f.until_told(CatalogLost)
            assert ports(f.known(WEB)) == [1]
            for member in cluster[1:]:
                member.launch()
            await do(cluster[0]._eventually, cluster[0].is_ready, 30)
            await do(cluster[0].put, "/services/web/a", "10.0.0.1:2")
            await f.until(WEB, lambda found: ports(found) == [2])

    asyncio.run(story())


def test_rights_are_asked_for_told_of_when_missing_and_found_again(make_etcd, follow, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("ctemplate.catalog.etcd.catalog.REREAD_SECONDS", 0.5)
    monkeypatch.setattr("ctemplate.catalog.wanted.REFUSED_SECONDS", (0.5, 1.0))
    password = tmp_path / "password"
    password.write_text("wrong\n")

    async def story() -> None:
        (server,) = make_etcd()
        server.put("/services/web/a", "10.0.0.1:1")
        url = f"etcd://{server.address}/services"
        async with follow(url, WEB, user="lb", password_file=str(password)) as f:
            # Authentication is off: a user is not asked for.
            await f.until(WEB, lambda found: ports(found) == [1])
            await do(server.protect, user="lb", password="s3cret", prefix="/services/")
            failure = await f.until_failed(WEB)
            assert failure.refused
            assert "password" in failure.reason
            password.write_text("s3cret\n")
            await f.until_mended(WEB)
            await do(server.put, "/services/web/a", "10.0.0.1:2")
            await f.until(WEB, lambda found: ports(found) == [2])
            # A right that is taken while a watch is open: the watch itself says nothing.
            await do(server.revoke, "lb", "/services/")
            failure = await f.until_failed(WEB)
            assert "grant-permission" in failure.reason
            assert ports(f.known(WEB)) == [2]
            await do(server.grant, "lb", "/services/")
            await f.until_mended(WEB)
            # And off again: the token that we hold is none any more.
            await do(server.ask, "auth/disable")
            server.token = ""
            await do(server.put, "/services/web/a", "10.0.0.1:3")
            await f.until(WEB, lambda found: ports(found) == [3])
            assert "s3cret" not in "".join(map(str, f.events))

    asyncio.run(story())


def test_no_user_where_one_is_needed_is_refused(make_etcd, follow):
    async def story() -> None:
        (server,) = make_etcd()
        server.protect(user="lb", password="s3cret", prefix="/services/")
        async with follow(f"etcd://{server.address}/services", WEB) as f:
            failure = await f.until_failed(WEB)
            assert failure.refused
            assert "password_file" in failure.reason
        async with follow(f"etcd://lb:s3cret@{server.address}/services", WEB) as f:
            await f.until(WEB, lambda found: found == ())
            assert "s3cret" not in f.catalog.describe()
        async with follow(f"etcd://lb:s3cret@{server.address}/elsewhere", WEB) as f:
            failure = await f.until_failed(WEB)
            assert failure.refused
            assert "'/elsewhere/'" in failure.reason

    asyncio.run(story())


def test_closing_a_watch_frees_its_connection(etcd, follow):
    async def story() -> None:
        key = Query(kind=Kind.KEY, name="/x")
        async with follow(f"etcd://{etcd.address}/services", WEB, key) as f:
            await f.until(WEB, lambda found: found == ())
            await f.until(key, lambda value: value is None)
            before = len(os.listdir("/proc/self/fd"))
            assert f.catalog.connections() == 2
            f.want(WEB, linger=0.0)
            async with asyncio.timeout(10):
                while f.catalog.connections() != 1:  # noqa: ASYNC110  # nothing to wait on
                    await asyncio.sleep(0.01)
            assert len(os.listdir("/proc/self/fd")) < before

    asyncio.run(story())


@pytest.mark.parametrize(
    "query", [Query(kind=Kind.NODES), Query(kind=Kind.SERVICE, name="web", dc="x"), Query(kind=Kind.KEY, near="x")]
)
def test_what_etcd_has_no_notion_of_is_refused(etcd, follow, query: Query):
    async def story() -> None:
        async with follow(f"etcd://{etcd.address}/", query) as f:
            assert (await f.until_failed(query)).refused

    asyncio.run(story())
