"""The client against a server that misbehaves: each fault has its meaning, and no connection is left behind."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import socket
import ssl
import subprocess
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from ctemplate.catalog import incoming
from ctemplate.catalog.consul.client import Client
from ctemplate.catalog.consul.opener import endpoints_of
from ctemplate.errors import CatalogError, Refused, Unavailable
from ctemplate.settings import Consul

RULE = 'service "web" { policy = "read" }'


CLIENTS: list[Client] = []
"""Those that the running test has made."""


def client_of(*addresses, **settings):
    consul = replace(Consul(), **settings)
    CLIENTS.append(Client(endpoints_of(",".join(addresses), tls=consul.ssl), consul))
    return CLIENTS[-1]


def run(story):
    """Run a coroutine to its end and close the clients that it made."""

    async def and_close():
        try:
            await story
        finally:
            while CLIENTS:
                await CLIENTS.pop().aclose()

    asyncio.run(and_close())


async def get(client, *, timeout=5.0, path="/v1/x", parked=False):
    return await client.get(path, {}, timeout=timeout, rule=RULE, parked=parked)


def saying(*pieces, then="keep"):
    async def script(asked, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if then == "close":
            writer.close()
        elif then == "reset":
            # SO_LINGER 0 makes close() send RST, as a killed process with unread data does.
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            writer.transport.abort()
        elif then == "hang":
            await asyncio.sleep(3600)

    return script


def test_an_answer_comes_whole_with_lower_case_headers(serving, response):
    async def story():
        async with serving(saying(response({"a": 1}))) as server:
            client = client_of(server.address)
            reply = await get(client)
            assert (reply.status, reply.body, reply.headers["x-consul-index"]) == (200, b'{"a": 1}', "5")

    run(story())


def test_a_chunked_answer_is_put_together(serving):
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n"

    async def story():
        async with serving(saying(chunked[:60], chunked[60:70], chunked[70:])) as server:
            client = client_of(server.address)
            assert (await get(client)).body == b"[1,2]"
            assert (await get(client)).body == b"[1,2]"
            assert server.accepted == 1, "the connection is kept"

    run(story())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[1,2]", id="sized"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n", id="chunked"
        ),
        pytest.param(
            b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[1,2]",
            id="after a provisional answer",
        ),
    ],
)
def test_an_answer_in_pieces_is_the_same_answer(serving, answer, size):
    async def story():
        async with serving(saying(*(answer[at : at + size] for at in range(0, len(answer), size)))) as server:
            client = client_of(server.address)
            for _ in range(2):
                reply = await get(client)
                assert (reply.status, reply.body) == (200, b"[1,2]")
            assert server.accepted == 1, "the connection is kept"

    run(story())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nX-Consul-Index: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\n[]\r\n0\r\nX-Consul-Index: 9\r\n\r\n",
        b"HTTP/1.1 099 X\r\nContent-Length: 3\r\n\r\nbad"
        b"HTTP/1.1 200 OK\r\nX-Consul-Index: 5\r\nContent-Length: 2\r\n\r\n[]",
    ],
    ids=["a trailer", "a provisional answer with a body"],
)
def test_what_stands_around_an_answer_is_no_part_of_it(serving, answer):
    async def story():
        async with serving(saying(answer)) as server:
            reply = await get(client_of(server.address))
            assert (reply.body, reply.headers["x-consul-index"]) == (b"[]", "5")

    run(story())


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"garbage"])
def test_what_nobody_asked_for_is_no_answer_to_the_next_question(serving, response, more):
    async def story():
        async with serving(saying(response([]) + more)) as server:
            client = client_of(server.address)
            assert [(await get(client)).body for _ in range(2)] == [b"[]", b"[]"]
            assert server.accepted == 2

    run(story())


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"H", b"garbage"])
def test_what_comes_while_nothing_is_asked_is_no_answer_to_the_next_question(serving, response, more):
    async def later(asked, writer):
        await saying(response([]))(asked, writer)
        await asyncio.sleep(0.05)
        await saying(more)(asked, writer)

    async def story():
        async with serving(later) as server:
            client = client_of(server.address)
            assert (await get(client)).body == b"[]"
            await asyncio.sleep(0.2)
            assert (await get(client)).body == b"[]"
            assert server.accepted == 2

    run(story())


def test_a_server_that_talks_while_nothing_is_asked_is_hung_up_on(serving, response):
    hung_up = asyncio.Event()

    async def talking(asked, writer):
        await saying(response([]))(asked, writer)
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
        try:
            await asyncio.sleep(3600)
        finally:
            hung_up.set()

    async def story():
        async with serving(talking) as server:
            await get(client_of(server.address))
            async with asyncio.timeout(10):
                await hung_up.wait()

    run(story())


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param(saying(HEAD, b"[", then="close"), "cut short", id="half a body"),
        pytest.param(saying(HEAD, b"[", then="reset"), "reset", id="reset in the middle of a body"),
        pytest.param(saying(HEAD[:20], then="close"), "cut short", id="half a header"),
        pytest.param(saying(then="close"), "http_max_conns_per_client", id="closed without a word"),
        pytest.param(saying(then="reset"), "reset", id="reset without a word"),
        pytest.param(saying(b"SSH-2.0-OpenSSH\r\n\r\n"), "no HTTP", id="not HTTP"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\n\r\n[]", then="close"), "how long", id="an open end"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000), "no HTTP", id="an endless header"),
        pytest.param(
            saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 900_000),
            "no HTTP",
            id="an endless trailer",
        ),
        pytest.param(saying(b"HTTP/1.1 100 X\r\n\r\n" * 50_000), "no HTTP", id="endless provisional answers"),
        pytest.param(saying(HEAD[:-2] + b"Content-Length: 9\r\n\r\n"), "no HTTP", id="two lengths"),
        pytest.param(saying(HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"), "no HTTP", id="a length and chunks"),
        pytest.param(
            saying(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), "no HTTP", id="an upgrade"
        ),
        pytest.param(
            saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n", then="close"),
            "cut short",
            id="half of the chunks",
        ),
    ],
)
def test_a_broken_answer_is_unavailable_and_its_connection_is_given_back(serving, eventually_soon, script, reason):
    async def story():
        async with serving(script) as server:
            client = client_of(server.address)
            with pytest.raises(Unavailable, match=reason):
                await get(client)
            assert client.connections() == 0
            await eventually_soon(lambda: server.open == 0)

    run(story())


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(saying(then="hang"), id="never answering"),
        pytest.param(saying(HEAD, b"[", then="hang"), id="never ending"),
    ],
)
def test_silence_is_unavailable_after_the_timeout(serving, eventually_soon, script):
    async def story():
        async with serving(script) as server:
            client = client_of(server.address)
            with pytest.raises(Unavailable, match="no whole answer within 0s"):
                await get(client, timeout=0.05)
            assert client.connections() == 0

    run(story())


def test_a_trickle_does_not_reset_the_timeout(serving):
    async def trickle(asked, writer):
        writer.write(HEAD)
        with contextlib.suppress(OSError):
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)

    async def story():
        async with serving(trickle) as server:
            with pytest.raises(Unavailable, match="no whole answer"):
                await get(client_of(server.address), timeout=0.2)

    run(story())


@pytest.mark.parametrize(("then", "reason"), [("hang", "no whole answer"), ("close", "cut short")])
def test_half_an_answer_is_let_go(serving, then, reason):
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 90000000\r\n\r\n" + b" " * 30_000_000

    async def story():
        async with serving(saying(half, then=then)) as server:
            client = client_of(server.address)
            gc.disable()  # it may be long until cycles are looked for
            tracemalloc.start()
            try:
                with pytest.raises(Unavailable, match=reason):
                    await get(client, timeout=0.5 if then == "hang" else 30.0)
                await asyncio.sleep(0.05)
                assert tracemalloc.get_traced_memory()[0] < 15_000_000
            finally:
                tracemalloc.stop()
                gc.enable()

    run(story())


def test_a_body_beyond_the_bound_is_unavailable(serving, monkeypatch):
    monkeypatch.setattr(incoming, "BODY_BYTES_MAX", 50)

    async def story():
        async with serving(saying(HEAD, b" " * 100)) as server:
            client = client_of(server.address)
            with pytest.raises(Unavailable, match="larger than 50 bytes"):
                await get(client)
            assert client.connections() == 0

    run(story())


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (403, Refused, 'Permission denied; the token needs service "web"'),
        (401, Refused, "-consul-auth"),
        (400, Refused, "calls the query wrong"),
        (301, Refused, "redirect"),
        (429, Unavailable, "http_max_conns_per_client"),
        (500, Unavailable, "500: Permission denied"),
        (503, Unavailable, "503"),
    ],
)
def test_each_status_has_its_meaning(serving, response, status, kind, reason):
    async def story():
        async with serving(saying(response(b"Permission\n denied", status=status))) as server:
            with pytest.raises(kind, match=reason) as caught:
                await get(client_of(server.address))
            assert "/v1/x" in str(caught.value)

    run(story())


def test_connection_refused_and_an_unknown_host_are_unavailable():
    async def story():
        with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:1: Connection refused"):
            await get(client_of("127.0.0.1:1"))
        with pytest.raises(Unavailable, match=r"nowhere\.invalid"):
            await get(client_of("nowhere.invalid:80"))

    run(story())


def test_the_next_address_is_tried_and_stayed_with(serving, response):
    async def story():
        async with serving(saying(response([]))) as server:
            client = client_of("127.0.0.1:1", server.address)
            assert (await get(client)).status == 200
            assert client.describe().startswith(f"http://{server.address}")

    run(story())


def test_an_address_that_answers_with_an_error_is_turned_away_from(serving, response):
    async def story():
        async with serving(saying(response(b"no", status=500))) as bad, serving(saying(response([]))) as good:
            client = client_of(bad.address, good.address)
            with pytest.raises(Unavailable):
                await get(client)
            assert (await get(client)).status == 200

    run(story())


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced_unseen(serving, response):
    async def story():
        async with serving(saying(response([]))) as server:
            client = client_of(server.address)
            await get(client)
            server.script = closing_once(saying(response([])), server)
            assert (await get(client)).status == 200
            assert server.accepted == 2

    def closing_once(following, server):
        async def script(asked, writer):
            server.script = following
            writer.close()

        return script

    run(story())


def test_a_connection_that_the_agent_is_about_to_close_is_not_kept(serving, response):
    async def story():
        async with serving(saying(response([], Connection="close"), then="close")) as server:
            client = client_of(server.address)
            assert (await get(client)).status == 200
            assert client.connections() == 0

    run(story())


def test_a_parked_poll_is_not_sent_again_when_its_connection_closes(serving, response):
    async def story():
        async with serving(saying(response([]))) as server:
            client = client_of(server.address)
            await get(client)
            server.script = saying(then="close")
            with pytest.raises(Unavailable, match="closed before it answered"):
                await get(client, parked=True)
            assert len(server.asked) == 2

    run(story())


def test_cancelling_a_request_closes_its_connection_at_once(serving, eventually_soon):
    async def story():
        async with serving(saying(then="hang")) as server:
            client = client_of(server.address)
            waiting = [asyncio.create_task(client.get("/v1/x", {"index": "1"}, timeout=60, rule="")) for _ in range(5)]
            await eventually_soon(lambda: server.open == 5)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            assert client.connections() == 0
            await eventually_soon(lambda: server.open == 0)

    run(story())


def test_there_are_never_more_connections_than_the_budget(serving, response):
    async def slow(asked, writer):
        await asyncio.sleep(0.005)
        writer.write(response([]))

    async def story():
        async with serving(slow) as server:
            client = client_of(server.address, max_connections=3)
            await asyncio.gather(*(get(client) for _ in range(20)))
            assert server.most_open <= 3
            assert len(server.asked) == 20

    run(story())


def test_credentials_go_into_the_headers(serving, response):
    async def story():
        async with serving(saying(response([]))) as server:
            client = client_of(server.address, token="t0ken", auth="user:pass")
            await get(client)
            headers = server.asked[0].headers
            assert headers["x-consul-token"] == "t0ken"
            assert headers["authorization"].lower() == f"basic {base64.b64encode(b'user:pass').decode()}".lower()

    run(story())


def test_the_token_file_is_read_again_after_a_403(serving, response, tmp_path):
    file = tmp_path / "token"
    file.write_text("old\n")

    async def check(asked, writer):
        writer.write(response([]) if asked.headers["x-consul-token"] == "new" else response(b"no", status=403))

    async def story():
        async with serving(check) as server:
            client = client_of(server.address, token_file=file)
            with pytest.raises(Refused):
                await get(client)
            file.write_text("new\n")
            assert (await get(client)).status == 200

    run(story())


def test_a_token_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(Refused, match=r"token file .*/nothing cannot be read: No such file"):
        run(get(client_of("127.0.0.1:1", token_file=tmp_path / "nothing")))


@pytest.mark.parametrize("token", ["se\ncret", "secrét", " secret", "secret\t", "se\x00cret"])
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(serving, response, token):
    async def story():
        async with serving(saying(response([]))) as server:
            with pytest.raises(Refused) as caught:
                await get(client_of(server.address, token=token))
            assert "cret" not in str(caught.value)
            assert caught.value.__cause__ is None

    run(story())


def test_a_unix_socket_is_spoken_to_like_a_port(serving, response, tmp_path):
    path = str(tmp_path / "consul.sock")

    async def story():
        async with serving(saying(response([])), path=path):
            client = client_of(f"unix://{path}")
            assert (await get(client)).status == 200
            assert client.describe() == f"unix://{path}"
        with pytest.raises(Unavailable, match=r"consul\.sock: "):
            await get(client_of(f"unix://{path}"))

    run(story())


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """A CA (`ca.pem`), a server's certificate for `consul.internal` and a client's, each with its `.key`."""
    directory = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, timeout=30)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    openssl("req", "-x509", *key, "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.pem")
    for name, host in (("server", "consul.internal"), ("client", "client.internal")):
        (directory / f"{name}.ext").write_text(f"subjectAltName=DNS:{host}\n")
        openssl("req", *key[:-2], "-subj", f"/CN={host}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext"]
        openssl("x509", "-req", "-in", f"{name}.csr", *sign, "-out", f"{name}.pem")
    return directory


def server_side(certificates: Path, *, ask_client: bool = False) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    if ask_client:
        tls.load_verify_locations(certificates / "ca.pem")
        tls.verify_mode = ssl.CERT_REQUIRED
    return tls


@pytest.mark.parametrize(
    ("settings", "fails"),
    [
        pytest.param({"ca": True, "tls_server_name": "consul.internal"}, None, id="CA and name"),
        pytest.param({"ca": True}, "127.0.0.1", id="the wrong name"),
        pytest.param({"tls_server_name": "consul.internal"}, "self-signed|unable to get", id="an unknown CA"),
        pytest.param({"ssl_verify": False}, None, id="verification off"),
    ],
)
def test_the_servers_certificate_is_held_to_the_settings(serving, response, certificates, settings, fails):
    settings = dict(settings)
    if settings.pop("ca", False):
        settings["ca_file"] = certificates / "ca.pem"

    async def story():
        async with serving(saying(response([])), tls=server_side(certificates)) as server:
            client = client_of(server.address, ssl=True, **settings)
            if fails:
                with pytest.raises(Refused, match=f"certificate does not hold: .*({fails})"):
                    await get(client)
            else:
                assert (await get(client)).status == 200

    run(story())


def test_an_answer_that_comes_with_the_end_of_the_handshake_counts(response, certificates):
    """A Consul whose limit is reached answers 429 to nothing; with TLS 1.2 in the same packet as its last word."""

    async def serve(reader, writer):
        received, to_send, context = ssl.MemoryBIO(), ssl.MemoryBIO(), server_side(certificates)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        tls = context.wrap_bio(received, to_send, server_side=True)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(to_send.read())
                received.write(await reader.read(65536))
        tls.write(response([]))
        writer.write(to_send.read())
        await reader.read()
        writer.close()

    async def story():
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            client = client_of(address, ssl=True, ssl_verify=False)
            assert (await get(client)).body == b"[]"
            await client.aclose()

    run(story())


@pytest.mark.parametrize("shown", [True, False])
def test_a_client_certificate_is_shown_where_there_is_one(serving, response, certificates, shown):
    own = {"client_cert": certificates / "client.pem", "client_key": certificates / "client.key"} if shown else {}

    async def story():
        async with serving(saying(response([])), tls=server_side(certificates, ask_client=True)) as server:
            client = client_of(
                server.address, ssl=True, ca_file=certificates / "ca.pem", tls_server_name="consul.internal", **own
            )
            if shown:
                assert (await get(client)).status == 200
            else:
                with pytest.raises(CatalogError):
                    await get(client)

    run(story())


def test_tls_files_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(Refused, match=r"TLS files .*/none\.pem cannot be used: No such file"):
        run(get(client_of("127.0.0.1:1", ssl=True, ca_file=tmp_path / "none.pem")))


def test_plain_http_on_a_tls_port_is_unavailable():
    async def answer(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        writer.close()

    async def story():
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(Unavailable, match=r"(?i)wrong.version"):
                await get(client_of(f"127.0.0.1:{port}", ssl=True, ssl_verify=False))

    run(story())
