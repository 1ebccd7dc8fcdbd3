"""The etcd catalog against a gateway that misbehaves as real ones do, but not on demand."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from ctemplate.catalog.registry import open_catalog
from ctemplate.errors import CatalogError, ConfigError, Refused, Unavailable
from ctemplate.events import Event, Warned
from ctemplate.model import Kind, Query
from ctemplate.settings import CatalogSource, Consul

WEB = Query(kind=Kind.SERVICE, name="web")
CREATED = {"result": {"header": {"revision": "1"}, "created": True}}
EVENT = {"result": {"header": {"revision": "2"}, "events": [{"kv": {"key": "YQ=="}}]}}


class Gateway:
    """Ranges answer what `pairs` says; a watch writes `first`, then the `lines` put into it, and stays open."""

    def __init__(self) -> None:
        self.pairs = {"web/a": "10.0.0.1:1"}
        self.header = {"cluster_id": "7", "revision": "5"}
        self.first: dict[str, Any] | None = CREATED
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.ranges: list[dict[str, Any]] = []
        self.watches: list[tuple[bytes, dict[str, Any]]] = []
        self.range_answer: Callable[[dict[str, Any]], tuple[int, Any]] | None = None

    def say(self, line: dict[str, Any]) -> None:
        self.lines.put_nowait(json.dumps(line).encode() + b"\n")

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        async with await asyncio.start_server(self._answer, "127.0.0.1", 0) as server:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for _ in range(3):  # the event loop closes a transport on a later turn
            await asyncio.sleep(0)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                body = json.loads(await reader.readexactly(size))
                if b"/v3/watch" in head:
                    self.watches.append((head, body))
                    await self._stream(reader, writer)
                else:
                    self._range(body, writer)
                    await writer.drain()
        finally:
            writer.close()

    def _range(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.ranges.append(body)
        kvs = [{"key": _base64(key), "value": _base64(value)} for key, value in self.pairs.items()]
        status, answer = (self.range_answer or (lambda _: (200, {"header": self.header, "kvs": kvs})))(body)
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(data), data))

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        if self.first:
            data = json.dumps(self.first).encode() + b"\n"
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        gone = asyncio.create_task(reader.read())
        while not gone.done():
            line = asyncio.create_task(self.lines.get())
            await asyncio.wait([gone, line], return_when=asyncio.FIRST_COMPLETED)
            if not line.done():
                line.cancel()
                return
            if line.result() is None:
                writer.write(b"0\r\n\r\n")
                gone.cancel()
                return
            data = line.result() or b""
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@contextlib.asynccontextmanager
async def opened(gateway: Gateway, events: list[Event] | None = None, **options: Any):
    async with gateway.serve() as address:
        emit = (events if events is not None else []).append
        catalog = open_catalog(CatalogSource(url=f"etcd://{address}", options=options), Consul(), emit=emit)
        try:
            yield catalog
        finally:
            await catalog.aclose()


async def fault_of(watch) -> CatalogError:
    """What ends a watch."""
    with pytest.raises(CatalogError) as caught:
        async with asyncio.timeout(10):
            async for _ in watch:
                pass
    return caught.value


def test_a_watch_asks_for_a_leader_and_for_signs_of_life_and_no_read_is_serializable():
    async def story() -> None:
        gateway = Gateway()
        async with opened(gateway) as catalog, contextlib.aclosing(catalog.watch(WEB)) as watch:
            assert [i.port for i in (await anext(watch)).value] == [1]
        ((head, body),) = gateway.watches
        assert b"hasleader: true" in head
        assert body["create_request"]["progress_notify"] is True
        assert all("serializable" not in asked for asked in gateway.ranges)

    asyncio.run(story())


def test_another_store_that_somebody_else_met_is_read_whole():
    """An older one behind the same address: what was modified after our revision is nothing there."""

    async def story() -> None:
        gateway = Gateway()
        gateway.pairs = {"web/a": "10.0.0.1:9"}

        def answer(asked: dict[str, Any]) -> tuple[int, Any]:
            since = int(asked.get("min_mod_revision", 0))
            kvs = [{"key": _base64(key), "value": _base64(value)} for key, value in gateway.pairs.items()]
            new = kvs if int(gateway.header["revision"]) >= since else []
            return 200, {"header": gateway.header, "kvs": new, "count": str(len(kvs))}

        gateway.range_answer = answer
        async with opened(gateway) as catalog, contextlib.aclosing(catalog.watch(WEB)) as watch:
            assert [i.port for i in (await anext(watch)).value] == [9]
            gateway.pairs, gateway.header = {"web/a": "10.0.0.1:1"}, {"cluster_id": "7", "revision": "3"}
            with pytest.raises(Unavailable):
                await catalog.confirm(WEB)
            gateway.say(EVENT)
            assert [i.port for i in (await anext(watch)).value] == [1]

    asyncio.run(story())


def test_an_event_is_a_reason_to_read_and_nothing_else():
    async def story() -> None:
        gateway = Gateway()
        async with opened(gateway) as catalog, contextlib.aclosing(catalog.watch(WEB)) as watch:
            await anext(watch)
            gateway.pairs = {"web/b": "10.0.0.2:2"}
            gateway.say(EVENT)
            gateway.say(EVENT)  # doubled
            async for answer in watch:
                if [i.port for i in answer.value] == [2]:
                    break

    asyncio.run(story())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"result":{"canceled":true,"compact_revision":"9"}}\n', "compacted"),
        (b'{"result":{"watch_id":"-1","created":true,"canceled":true,"cancel_reason":"denied"}}\n', "denied"),
        (b'{"error":{"grpc_code":14,"message":"transport is closing"}}', "transport is closing"),
        (b'{"error":{"code":14,"message":"no leader"}}\n', "no leader"),
        (b"<html>\n", "no JSON"),
        (b'{"result":[]}\n', "no JSON"),
        (b"", "ended"),
    ],
)
def test_whatever_ends_a_watch_ends_it_with_its_reason_and_its_connection(line: bytes, reason: str):
    async def story() -> None:
        gateway = Gateway()
        async with opened(gateway) as catalog:
            if line:
                gateway.lines.put_nowait(line)
            if not line.endswith(b"\n"):
                gateway.lines.put_nowait(None)
            fault = await fault_of(catalog.watch(WEB))
            assert isinstance(fault, Unavailable)
            assert reason in str(fault)
            assert catalog.connections() == 0

    asyncio.run(story())


def test_a_watch_that_may_not_be_is_explained_by_a_read():
    async def story() -> None:
        gateway = Gateway()
        gateway.first = {
            "result": {"watch_id": "-1", "created": True, "canceled": True, "cancel_reason": "PermissionDenied"}
        }
        gateway.range_answer = lambda _: (403, {"error": "etcdserver: permission denied", "code": 7})
        async with opened(gateway) as catalog:
            fault = await fault_of(catalog.watch(WEB))
        assert isinstance(fault, Refused)
        assert "grant-permission" in str(fault)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (503, {"error": "etcdserver: request timed out", "code": 14}, Unavailable),
        (500, b"<html>", Unavailable),
        (200, b"<html>", Unavailable),
        (200, {"kvs": []}, Unavailable),
        (200, {"header": {}, "kvs": [{"key": "!"}]}, Unavailable),
        (200, {"header": {}, "more": True}, Unavailable),
        (404, b"not here", Refused),
        (400, {"code": 3, "message": "etcdserver: user name is empty"}, Refused),
    ],
)
def test_an_answer_that_is_none_is_never_empty(status: int, answer: Any, kind: type[CatalogError]):
    async def story() -> None:
        gateway = Gateway()
        gateway.range_answer = lambda _: (status, answer)
        async with opened(gateway) as catalog:
            assert type(await fault_of(catalog.watch(WEB))) is kind
            with pytest.raises(kind):
                await catalog.confirm(WEB)

    asyncio.run(story())


def test_a_page_that_fails_discards_the_pages_before_it():
    async def story() -> None:
        def answer(body: dict[str, Any]) -> tuple[int, Any]:
            if "revision" in body:
                return 400, {"code": 11, "message": "required revision has been compacted"}
            pairs = [{"key": _base64("web/a"), "value": _base64("10.0.0.1:1")}]
            return 200, {"header": gateway.header, "kvs": pairs, "more": True}

        gateway = Gateway()
        gateway.range_answer = answer
        async with opened(gateway) as catalog:
            assert "compacted" in str(await fault_of(catalog.watch(WEB)))
            assert gateway.ranges[1]["revision"] == "5"
            assert base64.b64decode(gateway.ranges[1]["key"]) == b"web/a\0"

    asyncio.run(story())


@pytest.mark.parametrize("header", [{"cluster_id": "8", "revision": "9"}, {"cluster_id": "7", "revision": "4"}])
def test_another_cluster_or_an_older_revision_is_told_once_and_read_anew(header: dict[str, str]):
    async def story() -> None:
        gateway, events = Gateway(), list[Event]()
        async with opened(gateway, events) as catalog:
            async with contextlib.aclosing(catalog.watch(WEB)) as watch:
                await anext(watch)
                gateway.header = header
                gateway.say(EVENT)
                with pytest.raises(Unavailable, match="read again"):
                    async for _ in watch:
                        pass
            async with contextlib.aclosing(catalog.watch(WEB)) as watch:
                await anext(watch)
            assert len(gateway.watches) == 2
        assert [event for event in events if isinstance(event, Warned)] == events[:1]
        assert len(events) == 1

    asyncio.run(story())


def test_a_watch_that_is_never_created_is_left(monkeypatch):
    monkeypatch.setattr("ctemplate.catalog.etcd.client.READ_SECONDS", 0.2)

    async def story() -> None:
        gateway = Gateway()
        gateway.first = None
        async with opened(gateway) as catalog:
            assert "no answer in time" in str(await fault_of(catalog.watch(WEB)))

    asyncio.run(story())


def test_a_watch_that_is_silent_for_longer_than_etcd_ever_is_is_left(monkeypatch):
    monkeypatch.setattr("ctemplate.catalog.etcd.client.SILENCE_SECONDS", 0.2)

    async def story() -> None:
        gateway = Gateway()
        async with opened(gateway) as catalog:
            assert "no answer in time" in str(await fault_of(catalog.watch(WEB)))

    asyncio.run(story())


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("etcd://", {}, "etcd://host"),
        ("etcd:host", {}, "etcd://host"),
        ("etcd://h:0", {}, "h:0"),
        ("etcd://h", {"layuot": "confd"}, "layuot"),
        ("etcd://h", {"layout": "curator"}, "known: registrator, confd, skydns, grpc"),
        ("etcd://h", {"layout": "confd", "fields": {"adress": "x"}}, "address, port, weight, tags"),
        ("etcd://h", {"layout": "registrator", "fields": {"address": "x"}}, "confd"),
        ("etcd://h", {"prefix": 7}, "prefix"),
    ],
)
def test_settings_that_are_wrong_are_named(url: str, options: dict[str, Any], words: str):
    with pytest.raises(ConfigError) as caught:
        open_catalog(CatalogSource(url=url, options=options), Consul(), emit=lambda _: None)
    assert words in str(caught.value)


@pytest.mark.parametrize("url", ["etcd://u:s3cret@h:0", "etcd://u:s3cret@", "etcd://u:s3cret@h h"])
def test_no_error_repeats_a_password(url: str):
    with pytest.raises(ConfigError) as caught:
        open_catalog(CatalogSource(url=url), Consul(), emit=lambda _: None)
    assert "s3cret" not in str(caught.value)
