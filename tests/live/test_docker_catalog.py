"""The Docker catalog against a real engine and real containers: every kind of change, and the engine's own ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from ctemplate.catalog.registry import open_catalog
from ctemplate.errors import Refused, Unavailable
from ctemplate.model import Kind, Query
from ctemplate.settings import CatalogSource, Consul

WEB = Query(kind=Kind.SERVICE, name="web")
NAMES = Query(kind=Kind.SERVICES)
HTTP = ("/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/www")


class Followed:
    """One watch of a catalog."""

    def __init__(self, watch) -> None:
        self._watch = watch

    async def until(self, holds):
        """Wait until the answer's value is as it should be, and return the answer."""
        answer = None
        try:
            async with asyncio.timeout(30):
                async for answer in self._watch:
                    if holds(answer.value):
                        return answer
        except TimeoutError:
            pytest.fail(f"never came to be as expected; last: {answer}")

    async def until_fault(self, kind):
        with pytest.raises(kind) as caught:
            async with asyncio.timeout(60):
                async for _ in self._watch:
                    pass
        return str(caught.value)


def catalog_of(docker, **options):
    return open_catalog(CatalogSource(url=docker.url, options=options), Consul(), emit=lambda event: None)


@contextlib.asynccontextmanager
async def following(docker, query=WEB, **options):
    catalog = catalog_of(docker, **options)
    try:
        async with contextlib.aclosing(catalog.watch(query)) as watch:
            yield Followed(watch)
    finally:
        assert catalog.connections() == 0
        await catalog.aclose()


async def do(change, *arguments, **options):
    """Change something without stopping the event loop."""
    return await asyncio.to_thread(change, *arguments, **options)


def endpoints(value):
    return [instance.endpoint for instance in value]


def statuses(value):
    return [instance.status for instance in value]


def test_a_container_is_followed_from_its_start_to_its_end(docker):
    async def story():
        async with following(docker) as web:
            await web.until(lambda found: found == ())
            env = {"SERVICE_NAME": "web", "SERVICE_TAGS": "b,a", "SERVICE_REGION": "eu"}
            await do(docker.run, "w1", *HTTP, env=env, published={"80/tcp": 8081})
            (one,) = (await web.until(len)).value
            host = socket.gethostname()
            assert (one.id, one.endpoint, one.node, one.tags) == (f"{host}:w1:80", "127.0.0.1:8081", host, ("a", "b"))
            assert (one.meta, one.status, one.checks) == ({"region": "eu"}, "passing", ())
            await do(docker.run, "w2", *HTTP, env=env, published={"80/tcp": "127.0.0.9:8082"})
            await web.until(lambda found: endpoints(found) == ["127.0.0.1:8081", "127.0.0.9:8082"])
            await do(docker.act, "w1", "kill")
            await web.until(lambda found: endpoints(found) == ["127.0.0.9:8082"])
            await do(docker.act, "w1", "start")
            await web.until(lambda found: len(found) == 2)
            await do(docker.request, "POST", "/containers/w2/rename", name="w9")
            await web.until(lambda found: [i.id for i in found] == [f"{host}:w1:80", f"{host}:w9:80"])
            await do(docker.remove, "w1")
            await do(docker.remove, "w9")
            await web.until(lambda found: found == ())

    asyncio.run(story())


def test_a_health_check_decides_who_is_passing(docker):
    async def story():
        async with following(docker, internal=True) as web:
            env = {"SERVICE_NAME": "web"}
            await do(docker.run, "w1", *HTTP, env=env, exposed=["80/tcp"], health="test -e /tmp/well")
            (one,) = (await web.until(lambda found: statuses(found) == ["critical"])).value
            assert [check.id for check in one.checks] == ["docker-health"]
            await do(docker.execute, "w1", "/bin/busybox", "touch", "/tmp/well")
            await web.until(lambda found: statuses(found) == ["passing"])
            await do(docker.execute, "w1", "/bin/busybox", "rm", "/tmp/well")
            await web.until(lambda found: statuses(found) == ["critical"])

    asyncio.run(story())


@pytest.mark.parametrize("health", ["", "true"])
def test_a_paused_container_gets_no_request_and_comes_back(docker, health):
    async def story():
        async with following(docker, internal=True) as web:
            health_check = {"health": health} if health else {}
            await do(docker.run, "w1", *HTTP, env={"SERVICE_NAME": "web"}, exposed=["80/tcp"], **health_check)
            await web.until(lambda found: statuses(found) == ["passing"])
            await do(docker.act, "w1", "pause")
            await web.until(lambda found: statuses(found) == ["critical"])
            await do(docker.act, "w1", "unpause")
            await web.until(lambda found: statuses(found) == ["passing"])

    asyncio.run(story())


def test_of_several_networks_the_explicit_one_is_taken_and_without_one_none(docker):
    docker.make_network("front", "172.31.20.0/24")
    docker.make_network("back", "172.31.21.0/24")
    docker.run("w1", env={"SERVICE_NAME": "web"}, exposed=["80/tcp"], network="back")

    async def story():
        async with following(docker, internal=True) as web, following(docker, internal=True, network="front") as front:
            await web.until(lambda found: [i.address for i in found] == ["172.31.21.2"])
            assert "not on the network" in (await front.until(lambda found: not found)).bad[0].reason
            await do(docker.connect, "front", "w1")
            assert "on 2 networks" in (await web.until(lambda found: not found)).bad[0].reason
            await front.until(lambda found: [i.address for i in found] == ["172.31.20.2"])

    asyncio.run(story())


def test_ports_modes_and_labels_each_have_their_place(docker):
    docker.run("many", env={"SERVICE_NAME": "many"}, published={"80/tcp": 8001, "53/udp": 8002}, exposed=["9/tcp"])
    docker.run("open", env={"SERVICE_NAME": "open"}, exposed=["7/tcp"], network="host")
    docker.run("pod", published={"80/tcp": 8003}, env={"SERVICE_80_IGNORE": "1"})
    docker.run("side", image="team/open:1", env={"SERVICE_NAME": "side"}, network="container:pod")
    docker.run("mine", labels={"app": "mine", "app.port": "81"}, published={"80/tcp": 8004, "81/tcp": 8005})

    async def story():
        host = socket.gethostname()
        async with following(docker, Query(kind=Kind.NODE, name=host)) as node:
            answer = await node.until(lambda found: len(found.services) >= 5)
            assert [
                (i.name, i.id, i.port) for i in answer.value.services if i.name != "box-80" and i.name != "box-81"
            ] == [
                ("many-53", f"{host}:many:53:udp", 8002),
                ("many-80", f"{host}:many:80", 8001),
                ("open", f"{host}:open:7", 7),
                ("side", f"{host}:side:80", 8003),
            ]
        labels = {"name": "app", "port": "app.port"}
        async with following(docker, NAMES, labels=labels) as names:
            await names.until(lambda found: [service.name for service in found] == ["mine"])
        async with following(docker, Query(kind=Kind.SERVICE, name="mine"), labels=labels) as mine:
            await mine.until(lambda found: endpoints(found) == ["127.0.0.1:8005"])

    asyncio.run(story())


def test_keys_are_refused_with_a_way_out(docker):
    async def story():
        for kind in (Kind.KEY, Kind.KEYS):
            async with following(docker, Query(kind=kind, name="a")) as keys:
                assert "holds no keys" in await keys.until_fault(Refused)

    asyncio.run(story())


def test_confirm_inspects_every_container_anew(docker):
    async def story():
        catalog = catalog_of(docker)
        assert (await catalog.confirm(WEB)).value == ()
        await do(docker.run, "w1", env={"SERVICE_NAME": "web"}, published={"80/tcp": 8001})
        assert endpoints((await catalog.confirm(WEB)).value) == ["127.0.0.1:8001"]
        assert catalog.connections() == 0
        await catalog.aclose()

    asyncio.run(story())


def test_the_end_of_the_engine_ends_no_container_in_any_answer(docker):
    """Restarted, its containers are back by their policy; while it stops it ends them one by one, telling of each."""
    for number in range(4):
        env = {"SERVICE_NAME": "web"}
        docker.run(f"w{number}", env=env, published={"80/tcp": 8001 + number}, restart=True)

    async def story():
        sizes = set()

        def four(found):
            sizes.add(len(found))
            return len(found) == 4

        async with following(docker) as web:
            await web.until(four)
            stopping = asyncio.create_task(do(docker.stop))
            await web.until_fault(Unavailable)
            await stopping
        async with following(docker) as away:
            assert "docker.sock" in await away.until_fault(Unavailable)
        await do(docker.start)
        async with following(docker) as web:
            await web.until(four)
        assert sizes == {4}

    asyncio.run(story())


def test_a_frozen_engine_is_no_answer(docker, monkeypatch):
    monkeypatch.setattr("ctemplate.catalog.docker.api.READ_SECONDS", 0.5)
    docker.run("w1", env={"SERVICE_NAME": "web"}, published={"80/tcp": 8001})

    async def story():
        async with following(docker) as web:
            await web.until(len)
            await do(docker.pause)
            async with following(docker) as other:
                assert "no answer in time" in await other.until_fault(Unavailable)
            await do(docker.resume)
            await do(docker.remove, "w1")
            await web.until(lambda found: not found)

    asyncio.run(story())


def test_with_live_restore_what_was_healthy_stays_so_over_a_crash_of_the_engine(docker):
    docker.stop()
    docker.start("--live-restore")

    async def story():
        seen = []
        catalog = catalog_of(docker, internal=True)
        await do(
            docker.run, "w1", *HTTP, env={"SERVICE_NAME": "web"}, exposed=["80/tcp"], health="sleep 0.2", restart=True
        )
        for turn in range(2):
            async with contextlib.aclosing(catalog.watch(WEB)) as watch:
                web = Followed(watch)
                await web.until(lambda found: statuses(found) == ["passing"] or (seen and seen.append(statuses(found))))
                seen.append(["passing"])
                if not turn:
                    await do(docker.kill)
                    await web.until_fault(Unavailable)
                    await do(docker.start, "--live-restore")
        assert seen == [["passing"], ["passing"]]
        await catalog.aclose()

    asyncio.run(story())
    docker.remove("w1")
    docker.stop()
