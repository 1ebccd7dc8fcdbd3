"""Reading an engine that does what a real one cannot be made to do on demand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ctemplate.catalog.docker import api
from ctemplate.catalog.docker.opener import open_docker
from ctemplate.catalog.registry import open_catalog
from ctemplate.errors import CatalogError, ConfigError, Refused, Unavailable
from ctemplate.model import Kind, Query
from ctemplate.settings import CatalogSource, Consul

WEB = Query(kind=Kind.SERVICE, name="web")


def inspection(name: str, **state) -> dict:
    return {
        "Id": name,
        "Name": f"/{name}",
        "State": {"Running": True, **state},
        "Config": {"Image": "web", "ExposedPorts": {"80/tcp": {}}},
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}, "Networks": {}},
    }


class FakeEngine:
    """An engine by a table of replies; a reply may be a status, a body, or both."""

    def __init__(self) -> None:
        self.replies: dict[str, object] = {}
        self.asked: list[str] = []
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.version = "1.41"
        self.before: Callable[[str], None] = lambda path: None
        self.closed = False
        self.tasks: list[asyncio.Task[None] | None] = []
        self.put("web")

    def put(self, *names: str) -> None:
        self.replies = {"/containers/json": [{"Id": name, "Names": [f"/{name}"], "State": "running"} for name in names]}
        self.replies |= {f"/containers/{name}/json": inspection(name) for name in names}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())
        with (
            contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError),
            contextlib.closing(writer),
        ):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split()[1].partition("?")[0]
            path = path[path.index("/", 1) :] if path.startswith("/v1") else path
            self.asked.append(path)
            self.before(path)
            if self.closed:
                return
            if path == "/events":
                await self.tell(writer)
                return
            fixed = {"/_ping": b"OK", "/info": {"Name": "h1"}}
            reply = self.replies.get(path, fixed.get(path, 404))
            status, body = (reply, {"message": "it said so"}) if isinstance(reply, int) else (200, reply)
            data = body if isinstance(body, bytes) else msgspec.json.encode(body)
            said = f"HTTP/1.1 {status} X\r\nApi-Version: {self.version}\r\nContent-Length: {len(data)}\r\n\r\n"
            writer.write(said.encode() + data)
            await writer.drain()

    async def tell(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while (line := await self.events.get()) is not None:
            writer.write(b"%x\r\n%s\r\n" % (len(line), line))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    def happen(self, action: str, container: str) -> None:
        event = {"Type": "container", "Action": action, "Actor": {"ID": container, "Attributes": {}}}
        self.events.put_nowait(msgspec.json.encode(event) + b"\n")


@contextlib.asynccontextmanager
async def engine():
    fake = FakeEngine()
    async with await asyncio.start_server(fake.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        source = CatalogSource(url=f"docker+tcp://127.0.0.1:{port}", options={"explicit": False})
        catalog = open_docker(source, Consul(), lambda event: None)
        try:
            yield fake, catalog
        finally:
            await catalog.aclose()
            for task in filter(None, fake.tasks):
                task.cancel()
            await asyncio.gather(*filter(None, fake.tasks), return_exceptions=True)
    for _ in range(3):  # the event loop closes a transport on a later turn
        await asyncio.sleep(0)


async def fault_of(catalog) -> CatalogError:
    async with asyncio.timeout(10), contextlib.aclosing(catalog.watch(WEB)) as watch:
        with pytest.raises(CatalogError) as caught:
            async for _ in watch:
                pass
    return caught.value


async def until(watch, names: list[str]) -> None:
    async with asyncio.timeout(10):
        async for answer in watch:
            if [i.id.split(":")[1] for i in answer.value] == names:
                return


def test_a_list_is_not_believed_when_the_engine_takes_no_connection_after_it():
    """It is stopping: it closed its socket first, and the containers are missing because it ends them."""

    async def main() -> None:
        async with engine() as (fake, catalog), contextlib.aclosing(catalog.watch(WEB)) as watch:
            await until(watch, ["web"])

            def stopping(path: str) -> None:
                fake.closed = fake.closed or path == "/_ping"

            fake.before = stopping
            fake.put()
            fake.happen("die", "web")
            with pytest.raises(Unavailable, match="_ping"):
                await until(watch, [])

    asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "reply", "kind", "words"),
    [
        ("/containers/json", 500, Unavailable, "500: it said so"),
        ("/containers/json", 403, Refused, "403: it said so"),
        ("/containers/json", b"{", Unavailable, "shape of Docker's"),
        ("/containers/json", {"Id": 1}, Unavailable, "shape of Docker's"),
        ("/containers/web/json", 500, Unavailable, "500: it said so"),
        ("/containers/web/json", {"Id": "web"}, Unavailable, "shape of Docker's"),
        ("/info", b"[]", Unavailable, "shape of Docker's"),
        ("/_ping", 503, Unavailable, "503"),
    ],
)
def test_one_faulty_answer_discards_the_whole_reading(path, reply, kind, words):
    async def main() -> None:
        async with engine() as (fake, catalog):
            fake.replies[path] = reply
            fault = await fault_of(catalog)
            assert isinstance(fault, kind)
            assert words in str(fault)
            assert catalog.connections() == 0

    asyncio.run(main())


def test_a_container_that_ends_while_it_is_read_is_left_out():
    async def main() -> None:
        async with engine() as (fake, catalog), contextlib.aclosing(catalog.watch(WEB)) as watch:
            fake.put("web", "gone", "between")
            fake.replies["/containers/gone/json"] = 404
            fake.replies["/containers/between/json"] = inspection("between", Restarting=True)
            await until(watch, ["web"])

    asyncio.run(main())


def test_an_event_inspects_its_container_and_no_other():
    async def main() -> None:
        async with engine() as (fake, catalog), contextlib.aclosing(catalog.watch(WEB)) as watch:
            fake.put("web", "web2")
            await until(watch, ["web2", "web"])
            fake.asked.clear()
            fake.happen("exec_start: true", "web")
            fake.happen("health_status: healthy", "web2")
            await anext(watch)
            assert [path for path in fake.asked if path != "/_ping"] == ["/containers/json", "/containers/web2/json"]

    asyncio.run(main())


def test_events_may_come_in_any_pieces():
    async def main() -> None:
        async with engine() as (fake, catalog), contextlib.aclosing(catalog.watch(WEB)) as watch:
            await until(watch, ["web"])
            fake.put()
            for piece in (b'\n{"Type":"container","Act', b'ion":"died","Actor":{"ID":"web"}}\n{"Ty'):
                fake.events.put_nowait(piece)
            await until(watch, [])

    asyncio.run(main())


@pytest.mark.parametrize(("told", "words"), [(None, "ended the stream"), (b"nonsense\n", "shape of Docker's")])
def test_a_stream_of_events_that_ends_or_makes_no_sense_is_a_fault(told, words):
    async def main() -> None:
        async with engine() as (fake, catalog):
            fake.events.put_nowait(told)
            assert words in str(await fault_of(catalog))

    asyncio.run(main())


@pytest.mark.parametrize(("version", "spoken"), [("1.41", "/v1.41/"), ("1.99", "/v1.51/")])
def test_the_older_of_the_two_newest_versions_is_spoken(version, spoken, monkeypatch):
    async def main() -> None:
        async with engine() as (fake, catalog):
            fake.version = version
            heads: list[str] = []
            ask = api.Peers.ask

            async def listen(self, target, *arguments, **options):
                heads.append(target)
                return await ask(self, target, *arguments, **options)

            monkeypatch.setattr(api.Peers, "ask", listen)
            await catalog.confirm(WEB)
            assert {head[: len(spoken)] for head in heads} - {"/_ping"} == {spoken}

    asyncio.run(main())


def test_what_is_no_docker_engine_says_so():
    async def main() -> None:
        async with engine() as (fake, catalog):
            fake.version = "x"
            assert "is this a Docker engine?" in str(await fault_of(catalog))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "options", "where"),
    [
        ("docker://", {}, "unix:///var/run/docker.sock"),
        ("docker:///run/x.sock", {}, "unix:///run/x.sock"),
        ("docker+tcp://h", {}, "http://h:2375"),
        ("docker+tcp://h:2376", {}, "https://h:2376"),
        ("docker+tcp://h", {"ca_file": "/ca.pem"}, "https://h:2376"),
    ],
)
def test_a_url_says_where_the_engine_is(url, options, where):
    catalog = open_catalog(
        CatalogSource(url=url, options=options, base=Path("/etc")), Consul(), emit=lambda event: None
    )
    assert where in catalog.describe()


@pytest.mark.parametrize(
    ("url", "options", "reason"),
    [
        ("docker://h:2376", {}, "docker\\+tcp://host:2376"),
        ("docker+tcp://a,b", {}, "one engine"),
        ("docker+tcp://", {}, "address is empty"),
        ("docker:///s", {"intern": True}, "intern"),
        ("docker:///s", {"internal": "yes"}, "internal"),
        ("docker:///s", {"ip": "a b"}, "ip: address"),
        ("docker:///s", {"ip": 1}, "ip: address is not text"),
        ("docker:///s", {"labels": {"port": "p"}}, "name"),
    ],
)
def test_a_setting_that_is_wrong_is_named(url, options, reason):
    with pytest.raises(ConfigError, match=reason):
        open_catalog(CatalogSource(name="d", url=url, options=options), Consul(), emit=lambda event: None)
