"""Asking one of several servers, over HTTP that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from ctemplate.catalog.addresses import parse_endpoints
from ctemplate.catalog.http import Endpoint
from ctemplate.catalog.peers import Peers
from ctemplate.errors import ConfigError, Unavailable

Script = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextlib.asynccontextmanager
async def served(script: Script) -> AsyncIterator[Endpoint]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                head = await reader.readuntil(b"\r\n\r\n")
                await script(head, writer)
                await writer.drain()
        finally:
            writer.close()

    tasks: list[asyncio.Task[None] | None] = []
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield Endpoint(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    for task in filter(None, tasks):
        task.cancel()
    await asyncio.gather(*filter(None, tasks), return_exceptions=True)
    for _ in range(3):  # the event loop closes a transport on a later turn
        await asyncio.sleep(0)


def answering(data: bytes) -> Script:
    async def script(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return script


def closed_port() -> Endpoint:
    return Endpoint(host="127.0.0.1", port=1)


def test_the_first_server_that_can_be_reached_answers_and_becomes_the_first():
    async def main() -> None:
        async with served(answering(OK)) as good:
            peers = Peers((closed_port(), good))
            assert (await peers.ask("/x", timeout=5)).body == b"ok"
            assert peers.endpoints[0] == good
            assert peers.connections() == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\n\r\nno length",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
        b"SSH-2.0-OpenSSH\r\n",
    ],
)
def test_a_server_that_answers_half_is_unavailable_and_another_is_asked_next(broken: bytes):
    async def main() -> None:
        async with served(answering(broken)) as bad, served(answering(OK)) as good:
            peers = Peers((bad, good))
            with pytest.raises(Unavailable, match=str(bad.port)):
                await peers.ask("/x?secret=1", timeout=5)
            assert (await peers.ask("/x", timeout=5)).endpoint == good

    asyncio.run(main())


def test_what_one_server_fails_by_is_the_cause_of_the_error(tmp_path):
    with pytest.raises(Unavailable, match="No such file") as caught:
        asyncio.run(Peers((Endpoint(path=str(tmp_path / "no.sock")),)).ask("/x", timeout=5))
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_errors_name_the_path_without_its_parameters():
    async def main() -> None:
        async with served(answering(b"")) as bad:
            with pytest.raises(Unavailable) as caught:
                await Peers((bad,)).ask("/path?token=s3cret", timeout=5)
            assert "/path" in str(caught.value)
            assert "s3cret" not in str(caught.value)

    asyncio.run(main())


def test_a_server_that_never_answers_is_given_up_in_time():
    async def silent(head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        async with served(silent) as slow:
            with pytest.raises(Unavailable, match="in time"):
                await Peers((slow,)).ask("/x", timeout=0.05)

    asyncio.run(main())


def test_a_body_is_sent_with_its_length():
    heads: list[bytes] = []

    async def script(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(OK)

    async def main() -> None:
        async with served(script) as server:
            await Peers((server,)).ask("/x", [("X-A", "b")], timeout=5, method="POST", body=b"hello")

    asyncio.run(main())
    assert heads[0].startswith(b"POST /x HTTP/1.1\r\n")
    assert b"Content-Length: 5\r\n" in heads[0]
    assert b"X-A: b\r\n" in heads[0]


def test_a_stream_gives_each_piece_as_it_comes_and_is_closed_when_left():
    async def main() -> None:
        gone = asyncio.Event()

        async def script(head: bytes, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for number in range(3):
                writer.write(b"2\r\n%d\n\r\n" % number)
                await writer.drain()
            with contextlib.suppress(OSError):
                while True:
                    writer.write(b"1\r\n\n\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.01)
            gone.set()

        async with served(script) as server:
            peers = Peers((server,))
            text = b""
            async with peers.stream("/events", timeout=5) as (head, chunks):
                assert head.status == 200
                async for chunk in chunks:
                    text += chunk
                    if b"2\n" in text:
                        break
            assert text.startswith(b"0\n1\n2\n")
            assert peers.connections() == 0
            async with asyncio.timeout(10):
                await gone.wait()

    asyncio.run(main())


def test_a_stream_that_is_not_read_is_held_back_and_then_comes_whole():
    piece, pieces, sent = b"x" * 1_000_000, 50, []

    async def script(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(piece) * pieces))
        for _ in range(pieces):
            writer.write(piece)
            await writer.drain()
            sent.append(len(piece))

    async def main() -> None:
        async with served(script) as server, Peers((server,)).stream("/events", timeout=5) as (_, chunks):
            size = len(await anext(chunks))
            await asyncio.sleep(0.5)
            assert sum(sent) < len(piece) * pieces // 2, "the rest waits at the server, not in our memory"
            async for chunk in chunks:
                size += len(chunk)
            assert size == len(piece) * pieces

    asyncio.run(main())


def test_a_stream_that_ended_while_it_was_not_read_comes_whole():
    async def script(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na")
        for letter in (b"b", b"c", b"d"):
            await asyncio.sleep(0.05)
            writer.write(letter)

    async def main() -> None:
        async with served(script) as server, Peers((server,)).stream("/events", timeout=5) as (_, chunks):
            text = await anext(chunks)
            await asyncio.sleep(0.5)
            async for chunk in chunks:
                text += chunk
            assert text == b"abcd"

    asyncio.run(main())


@pytest.mark.parametrize("end", [b"", b"no chunk\r\n"], ids=["cut short", "garbage"])
def test_what_came_of_a_stream_before_it_broke_off_is_given_first(end: bytes):
    async def script(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await asyncio.sleep(0.05)
        writer.write(b"3\r\nwhy\r\n" + end)

    async def main() -> None:
        text = b""
        async with served(script) as server:
            with pytest.raises(Unavailable):
                async with Peers((server,)).stream("/events", timeout=5) as (_, chunks):
                    async for chunk in chunks:
                        text += chunk
                        await asyncio.sleep(0.2)
        assert text == b"onewhy"

    asyncio.run(main())


def test_a_stream_that_breaks_off_is_unavailable():
    async def main() -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"
        async with served(answering(head)) as server:
            with pytest.raises(Unavailable, match=str(server.port)):
                async with Peers((server,)).stream("/events", timeout=5) as (_, chunks):
                    async for _chunk in chunks:
                        pass

    asyncio.run(main())


@pytest.mark.parametrize("text", ["", "a b", "h:0", "h:99999", "ftp://h", "http://", "user@h"])
def test_an_address_that_is_none_is_refused_by_the_name_of_its_server(text: str):
    with pytest.raises(ConfigError, match="etcd"):
        parse_endpoints(text, server="etcd", ports=(2379, 2379))


def test_addresses_take_the_ports_of_their_server():
    found = parse_endpoints("a, https://b, [::1]:7", server="x", ports=(1, 2))
    assert [str(endpoint) for endpoint in found] == ["http://a:1", "https://b:2", "http://[::1]:7"]
