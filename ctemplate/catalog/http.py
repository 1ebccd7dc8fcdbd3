"""One HTTP/1.1 connection that does one request at a time: asyncio moves the bytes, h11 knows the protocol.

A long poll is parked on a connection of its own, so the one thing that matters is who holds which
connection, and that it is free the moment its poll is dropped; a pool that hides connections gets in
the way (docs/adr/0003-http-client.md). This module knows nothing of catalogs, tokens or retries.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

import h11

from ctemplate.errors import Refused, Unavailable

CONNECT_SECONDS = 5.0
BODY_BYTES_MAX = 256 * 1024 * 1024
"""Ten times the largest answer measured (50,000 checks: 22 MB): beyond it the other side is not what we think."""
_READ_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
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


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: who gave it, status, headers by lower-case name, and the whole body (of a stream: none yet)."""

    endpoint: Endpoint
    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class HungUp(ConnectionError):
    """The other side closed the connection before it said anything: a kept connection may be used no more."""


class Connection:
    """A connection to one endpoint, kept between requests. Whoever gets an exception from it must `abort` it."""

    def __init__(self, endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.endpoint = endpoint
        self._reader = reader
        self._writer = writer
        self._protocol = h11.Connection(h11.CLIENT)

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
        idle = self._protocol.our_state is h11.IDLE
        return idle and not self._reader.at_eof() and not self._writer.is_closing()

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
        sized = "content-length" in head.headers or "transfer-encoding" in head.headers
        if not sized and head.status not in (204, 304):
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
        event = await self._event(silent=True)
        while not isinstance(event, h11.Response):
            event = await self._event(silent=True)
        said = {name.decode("ascii"): value.decode("latin-1") for name, value in event.headers}
        return Reply(self.endpoint, event.status_code, said)

    async def chunks(self, *, limit: int | None) -> AsyncGenerator[bytes]:
        """Yield the body piece by piece as it comes; `limit` bytes in all, None for a stream without end.

        Raises OSError when the network failed, `Unavailable` when the body is cut short or too large.
        """
        size = 0
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                size += len(event.data)
                if limit is not None and size > limit:
                    raise self._too_large(limit)
                yield bytes(event.data)
        if self._protocol.our_state is h11.DONE and self._protocol.their_state is h11.DONE:
            self._protocol.start_next_cycle()

    def _too_large(self, limit: int) -> Unavailable:
        return Unavailable(f"{self.endpoint}: the answer is larger than {limit} bytes")

    def _request(self, target: str, headers: list[tuple[str, str]], method: str, body: bytes) -> bytes:
        size = [("Content-Length", str(len(body)))] if body or method == "POST" else []
        try:
            request = h11.Request(
                method=method, target=target, headers=[("Host", self.endpoint.authority), *size, *headers]
            )
        except (h11.LocalProtocolError, UnicodeEncodeError):
            # The library's words hold the value, which may be a token.
            reason = "a token, address or name holds characters that cannot stand in a request"
            raise Refused(f"{self.endpoint}: {reason}") from None
        events = [request, *([h11.Data(data=body)] if body else []), h11.EndOfMessage()]
        return b"".join(self._protocol.send(event) or b"" for event in events)

    async def _event(self, *, silent: bool = False) -> object:
        """Return what comes next; `silent`: nothing of an answer has come yet."""
        try:
            while (event := self._protocol.next_event()) is h11.NEED_DATA:
                received = await self._reader.read(_READ_BYTES)
                if not received and silent and not self._protocol.trailing_data[0]:
                    raise HungUp("closed before it answered")
                self._protocol.receive_data(received)
        except h11.RemoteProtocolError as fault:
            raise Unavailable(f"{self.endpoint}: the answer is cut short or no HTTP ({fault})") from fault
        return event


def reason_of(fault: Exception) -> str:
    """Return a library's error as a few words: the system's own where there is an errno."""
    if isinstance(fault, ssl.SSLError):
        return getattr(fault, "verify_message", "") or fault.reason or str(fault)
    if isinstance(fault, OSError) and not isinstance(fault, socket.gaierror) and fault.errno:
        return os.strerror(fault.errno)
    return str(fault.strerror if isinstance(fault, socket.gaierror) else fault) or type(fault).__name__
