"""One HTTP/1.1 connection that does one request at a time: asyncio moves the bytes, llhttp knows the protocol.

A long poll is parked on a connection of its own, so the one thing that matters is who holds which
connection, and that it is free the moment its poll is dropped; a pool that hides connections gets in
the way (docs/adr/0003-http-client.md). This module knows nothing of catalogs, tokens or retries.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping

import httptools
import msgspec

from ctemplate.errors import Refused, Unavailable

CONNECT_SECONDS = 5.0
BODY_BYTES_MAX = 256 * 1024 * 1024
"""Ten times the largest answer measured (50,000 checks: 22 MB): beyond it the other side is not what we think."""
HEAD_BYTES_MAX = 16 * 1024
"""Of a head, and of anything else that is no body and does not end; h11's own bound. Consul's heads have 0.5 KB."""
_READ_BYTES = 256 * 1024
_TARGET = re.compile(r"[!-~]+")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"(?:[!-~](?:[ \t!-~]*[!-~])?)?")
"""What may stand in a request: RFC 9110 5.1 and 5.5, RFC 9112 3.2, without what is beyond ASCII."""


class Endpoint(msgspec.Struct, frozen=True):
    """One place that speaks HTTP: a host and port, or the path of a unix socket. `str()` is its URL."""

    host: str = ""
    """Unbracketed."""
    port: int = 0
    tls: bool = False
    path: str = ""

    @property
    def authority(self) -> str:
        """What the `Host` header says."""
        if self.path:
            return "localhost"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        return f"{'https' if self.tls else 'http'}://{self.authority}"


class Reply(msgspec.Struct, frozen=True):
    """An answer: who gave it, status, headers by lower-case name, and the whole body (of a stream: none yet)."""

    endpoint: Endpoint
    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class HungUp(ConnectionError):
    """The other side closed the connection before it said anything: a kept connection may be used no more."""


class _Incoming:
    """What came of the answer that is awaited. The parser calls what begins with `on_`."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.expect()
        self.complete = True

    def expect(self) -> None:
        """Begin with the next answer."""
        self.began = False
        """Whether anything came."""
        self.idle = 0
        """Bytes that came since the last that were of use: of a head, or a trailer, that has not ended."""
        self.status = 0
        """0: its head is not complete."""
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []
        """Of its body, what nobody has taken yet."""
        self.complete = False
        self.last = False
        """Whether the connection cannot be used for another."""

    @property
    def is_sized(self) -> bool:
        """Whether it says itself where it ends."""
        return "content-length" in self.headers or "transfer-encoding" in self.headers or self.status in (204, 304)

    def feed(self, received: bytes) -> None:
        """Take what was received; nothing is the end of the connection. Raises ValueError for what is no HTTP."""
        if not received:
            if not self.status or self.is_sized:
                raise ValueError("it ends too early")
            self.complete = self.last = True
            return
        had, self.began = (self.status, len(self.parts)), True
        try:
            self._parser.feed_data(received)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as fault:
            self.last = True
            if not self.complete:
                raise ValueError(str(fault)) from None
        self.idle = self.idle + len(received) if had == (self.status, len(self.parts)) else 0
        if not self.complete and self.idle > HEAD_BYTES_MAX:
            raise ValueError("its headers do not end")

    def on_message_begin(self) -> None:
        if self.complete:
            self.last = True  # nobody asked for a second answer

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status and not self.complete:  # a trailer may not say anything of the answer
            self.headers[name.decode("ascii").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self.headers = {}  # of a provisional answer
        else:
            self.status = status
            self.last = not self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        if self.status and not self.complete:
            self.parts.append(data)

    def on_message_complete(self) -> None:
        self.complete = self.complete or self.status > 0


class Connection:
    """A connection to one endpoint, kept between requests. Whoever gets an exception from it must `abort` it."""

    def __init__(self, endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.endpoint = endpoint
        self._reader = reader
        self._writer = writer
        self._incoming = _Incoming()

    @classmethod
    async def open(cls, endpoint: Endpoint, *, tls: ssl.SSLContext | None, server_name: str) -> Connection:
        """Connect, within `CONNECT_SECONDS`. Raises `Unavailable`; `Refused` for a certificate that does not hold."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await cls._open(endpoint, tls=tls, server_name=server_name)
        except TimeoutError as fault:
            raise Unavailable(f"{endpoint}: no connection within {CONNECT_SECONDS:.0f}s") from fault
        except ssl.SSLCertVerificationError as fault:
            raise Refused(f"{endpoint}: its certificate does not hold: {reason_of(fault)}") from fault
        except (OSError, UnicodeError) as fault:  # a host name that IDNA refuses is a UnicodeError
            raise Unavailable(f"{endpoint}: {reason_of(fault)}") from fault

    @classmethod
    async def _open(cls, endpoint: Endpoint, *, tls: ssl.SSLContext | None, server_name: str) -> Connection:
        name = (server_name or endpoint.host) if tls else None
        if endpoint.path:
            streams = await asyncio.open_unix_connection(
                endpoint.path, limit=_READ_BYTES, ssl=tls, server_hostname=name or None
            )
        else:
            streams = await asyncio.open_connection(
                endpoint.host, endpoint.port, limit=_READ_BYTES, ssl=tls, server_hostname=name
            )
        return cls(endpoint, *streams)

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent, as far as is known now."""
        return self._incoming.complete and not self._incoming.last and not self.hung_up

    @property
    def hung_up(self) -> bool:
        """Whether the other side has closed it, as far as is known now."""
        return self._reader.at_eof() or self._writer.is_closing()

    def abort(self) -> None:
        """Close at once, without a farewell."""
        self._writer.transport.abort()

    async def request(
        self, target: str, headers: list[tuple[str, str]], *, method: str = "GET", body: bytes = b""
    ) -> Reply:
        """Send one request and read the whole answer; the caller bounds the time.

        Raises what `begin` and `chunks` raise, and `Unavailable` when the answer does not say how long it is:
        half of it could not be told from the whole.
        """
        head = await self.begin(target, headers, method=method, body=body)
        if int(head.headers.get("content-length", "0")) > BODY_BYTES_MAX:
            raise self._too_large(BODY_BYTES_MAX)
        parts = [part async for part in self.chunks(limit=BODY_BYTES_MAX)]
        if not self._incoming.is_sized:
            raise Unavailable(f"{self.endpoint}: the answer does not say how long it is")
        return Reply(self.endpoint, head.status, head.headers, b"".join(parts))

    async def begin(
        self, target: str, headers: list[tuple[str, str]], *, method: str = "GET", body: bytes = b""
    ) -> Reply:
        """Send one request and return the head of its answer; its body comes from `chunks`.

        Raises `HungUp` when the other side closed before it said anything, OSError when the network
        failed, `Unavailable` when what came is no HTTP, `Refused` when a header cannot be sent.
        """
        self._writer.write(self._request(target, headers, method, body))
        await self._writer.drain()
        incoming = self._incoming
        incoming.expect()
        while not incoming.status:
            await self._receive()
        return Reply(self.endpoint, incoming.status, incoming.headers)

    async def chunks(self, *, limit: int | None) -> AsyncGenerator[bytes]:
        """Yield the body piece by piece as it comes; `limit` bytes in all, None for a stream without end.

        Raises OSError when the network failed, `Unavailable` when the body is cut short or too large.
        """
        size, incoming = 0, self._incoming
        while True:
            parts, incoming.parts = incoming.parts, []
            for part in parts:
                size += len(part)
                if limit is not None and size > limit:
                    raise self._too_large(limit)
                yield part
            if incoming.complete:
                return
            await self._receive()

    def _too_large(self, limit: int) -> Unavailable:
        return Unavailable(f"{self.endpoint}: the answer is larger than {limit} bytes")

    def _request(self, target: str, headers: list[tuple[str, str]], method: str, body: bytes) -> bytes:
        size = [("Content-Length", str(len(body)))] if body or method == "POST" else []
        fields = [("Host", self.endpoint.authority), *size, *headers]
        if not _TARGET.fullmatch(target) or not all(_NAME.fullmatch(n) and _VALUE.fullmatch(v) for n, v in fields):
            # What is wrong is not named: it may be a token.
            reason = "a token, address or name holds characters that cannot stand in a request"
            raise Refused(f"{self.endpoint}: {reason}")
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
        return "\r\n".join(lines).encode("ascii") + body

    async def _receive(self) -> None:
        """Take in what comes next."""
        received = await self._reader.read(_READ_BYTES)
        if not received and not self._incoming.began:
            raise HungUp("closed before it answered")
        try:
            self._incoming.feed(received)
        except ValueError as fault:
            raise Unavailable(f"{self.endpoint}: the answer is cut short or no HTTP ({fault})") from None


def reason_of(fault: Exception) -> str:
    """Return a library's error as a few words: the system's own where there is an errno."""
    if isinstance(fault, ssl.SSLError):
        return getattr(fault, "verify_message", "") or fault.reason or str(fault)
    if isinstance(fault, OSError) and not isinstance(fault, socket.gaierror) and fault.errno:
        return os.strerror(fault.errno)
    return str(fault.strerror if isinstance(fault, socket.gaierror) else fault) or type(fault).__name__
