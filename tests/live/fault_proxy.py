"""A proxy in front of a real HTTP server that can do to answers what networks, overload and elections do.

    proxy = FaultProxy("127.0.0.1:8500")
    proxy.fault(status(500), on="/v1/health/service/web")
    proxy.clear()

Each GET is forwarded first, so that a parked poll stays parked; the fault that holds when the true answer is there
decides what becomes of it. A fault is a function of the exchange and the true answer. One thread a connection.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

CHUNK = b"x" * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """What the real server said. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def index(self) -> int:
        return int(self.headers.get("x-consul-index", "0"))

    def with_index(self, index: int) -> Answer:
        return replace(self, headers={**self.headers, "x-consul-index": str(index)})


class Exchange:
    """One request and the connection that it came by."""

    def __init__(self, handler: http.server.BaseHTTPRequestHandler, over: threading.Event) -> None:
        self.target = handler.path
        self.over = over
        """Set when the fault is cleared: whoever holds a connection lets go of it."""
        self._handler = handler

    def send(self, answer: Answer) -> None:
        """Answer as an honest server would."""
        self.send_head(answer, {"Content-Length": str(len(answer.body))})
        self.send_bytes(answer.body)

    def send_head(self, answer: Answer, more: Mapping[str, str]) -> None:
        self._handler.send_response(answer.status)
        for name, value in {**answer.headers, **more}.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()

    def send_bytes(self, data: bytes) -> None:
        self._handler.wfile.write(data)

    def reset(self) -> None:
        """End the connection as a crash does: without a farewell."""
        connection = self._handler.connection
        self._handler.close_connection = True
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


Fault = Callable[[Exchange, Answer], None]


def status(code: int, body: bytes = b"a fault") -> Fault:
    """Answer with an error."""
    return lambda exchange, answer: exchange.send(Answer(code, {"content-type": "text/plain"}, body))


def body(data: bytes) -> Fault:
    """Answer with the true headers and another body."""
    return lambda exchange, answer: exchange.send(replace(answer, body=data))


def without_index(exchange: Exchange, answer: Answer) -> None:
    """Answer as some other web server would: well, but not Consul."""
    exchange.send(Answer(200, {"content-type": "application/json"}, b"[]"))


def reset(exchange: Exchange, answer: Answer) -> None:
    """End the connection instead of an answer."""
    exchange.reset()


def reset_in_the_body(exchange: Exchange, answer: Answer) -> None:
    """End the connection after half of the body."""
    exchange.send_head(answer, {"Content-Length": str(len(answer.body))})
    exchange.send_bytes(answer.body[: len(answer.body) // 2])
    exchange.reset()


def byte_by_byte(exchange: Exchange, answer: Answer) -> None:
    """Send a byte a second, for as long as the fault lasts."""
    exchange.send_head(answer, {"Content-Length": str(len(answer.body))})
    for place in range(len(answer.body)):
        exchange.send_bytes(answer.body[place : place + 1])
        if exchange.over.wait(1):
            break
    exchange.reset()


def silence(exchange: Exchange, answer: Answer) -> None:
    """Answer nothing, for as long as the fault lasts."""
    exchange.over.wait()
    exchange.reset()


def endless(exchange: Exchange, answer: Answer) -> None:
    """Send a body that does not end, and does not say how long it is."""
    exchange.send_head(answer, {"Transfer-Encoding": "chunked"})
    while not exchange.over.is_set():
        exchange.send_bytes(b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK))


def enormous(exchange: Exchange, answer: Answer) -> None:
    """Announce a terabyte."""
    exchange.send_head(answer, {"Content-Length": str(1 << 40)})
    exchange.send_bytes(answer.body)
    exchange.over.wait()
    exchange.reset()


def index_backwards(exchange: Exchange, answer: Answer) -> None:
    """Count down: each stale answer has an index lower than the true one."""
    exchange.send(answer if "stale" not in exchange.target else answer.with_index(answer.index // 2))


def index_that_stands(exchange: Exchange, answer: Answer) -> None:
    """Give one index to whatever the data are."""
    exchange.send(answer.with_index(7))


def starting_server(exchange: Exchange, answer: Answer) -> None:
    """Answer a stale read as a real Consul 1.8 server does just after its start, and any other as its leader would.

    Seen: 200, a known leader, a contact of 55 ms, index 1, and nothing, while its log was applied.
    """
    if "stale" not in exchange.target:
        exchange.send(answer)
        return
    headers = {**answer.headers, "x-consul-index": "1", "x-consul-knownleader": "true", "x-consul-lastcontact": "55"}
    exchange.send(Answer(200, headers, json.dumps(type(json.loads(answer.body))()).encode()))


class FaultProxy:
    """Listens on a port of its own, the same for all its life."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self._faults: list[tuple[re.Pattern[str], Fault, threading.Event]] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._place: socket.socket | None = None
        """Keeps the port ours while nobody listens on it."""
        self.port = 0
        self.listen()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def listen(self) -> None:
        """Take connections."""
        if self._place is not None:
            self._place.close()
            self._place = None
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def refuse(self) -> None:
        """Take no connection, and end those there are, as if the machine had gone."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            self._place = socket.socket()
            self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._place.bind(("127.0.0.1", self.port))
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def fault(self, fault: Fault, *, on: str = "") -> None:
        """Let the fault befall every answer to a request whose path and query hold the pattern."""
        with self._lock:
            self._faults.append((re.compile(on), fault, threading.Event()))

    def clear(self) -> None:
        """Be honest from now on, and listen."""
        with self._lock:
            faults, self._faults = self._faults, []
        for _, _, over in faults:
            over.set()
        if self._server is None:
            self.listen()

    def close(self) -> None:
        self.clear()
        self.refuse()
        if self._place is not None:
            self._place.close()

    def _fault_of(self, target: str) -> tuple[Fault, threading.Event] | None:
        with self._lock:
            return next(((fault, over) for on, fault, over in reversed(self._faults) if on.search(target)), None)

    def _serve(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        answer = self._ask(handler)
        found = self._fault_of(handler.path)
        if found is None:
            Exchange(handler, threading.Event()).send(answer)
        else:
            fault, over = found
            fault(Exchange(handler, over), answer)

    def _ask(self, handler: http.server.BaseHTTPRequestHandler) -> Answer:
        connection = http.client.HTTPConnection(self.upstream, timeout=120)
        with contextlib.closing(connection):
            sent = {name: value for name, value in handler.headers.items() if name.lower() != "connection"}
            try:
                connection.request("GET", handler.path, headers=sent)
                response = connection.getresponse()
                data = response.read()
            except (OSError, http.client.HTTPException):
                return Answer(502, {}, b"the proxy cannot reach the server")
            kept = {
                n.lower(): v for n, v in response.getheaders() if n.lower().startswith(("x-consul", "content-type"))
            }
            return Answer(response.status, kept, data)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, proxy: FaultProxy) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                with proxy._lock:
                    proxy._open.add(self.connection)

            def finish(self) -> None:
                with proxy._lock:
                    proxy._open.discard(self.connection)
                with contextlib.suppress(OSError):
                    super().finish()

            def do_GET(self) -> None:
                try:
                    proxy._serve(self)
                except OSError:
                    self.close_connection = True  # the other side went away, which is its right

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        super().__init__(("127.0.0.1", proxy.port), Handler)

    def handle_error(self, *_: object) -> None:
        """A connection that was reset on purpose is no news."""
