"""One HTTP/1.1 connection that does one GET at a time: asyncio moves the bytes, h11 knows the protocol.

A long poll is parked on a connection of its own, so the one thing that matters is who holds which
connection, and that it is free the moment its poll is dropped; a pool that hides connections gets in
the way (docs/adr/0003-http-client.md). This module knows nothing of Consul, tokens or retries.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import h11

from ctemplate.errors import Refused, Unavailable

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
    """A complete answer: who gave it, status, headers by lower-case name, and the whole body."""

    endpoint: Endpoint
    status: int
    headers: Mapping[str, str]
    body: bytes


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
        """Connect; the caller bounds the time. Raises OSError, `ssl.SSLError` being one."""
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

    def abort(self) -> None:
        """Close at once, without a farewell."""
        self._writer.transport.abort()

    async def get(self, target: str, headers: list[tuple[str, str]]) -> Reply:
        """Send one GET and read the whole answer; the caller bounds the time.

        Raises `HungUp` when the other side closed before it said anything, OSError when the network
        failed, `Unavailable` when the answer is cut short, too large or no HTTP, `Refused` when a header
        cannot be sent.
        """
        self._writer.write(self._request(target, headers))
        await self._writer.drain()
        try:
            reply = await self._read()
        except h11.RemoteProtocolError as fault:
            raise Unavailable(f"{self.endpoint}: the answer is cut short or no HTTP ({fault})") from fault
        if self._protocol.our_state is h11.DONE and self._protocol.their_state is h11.DONE:
            self._protocol.start_next_cycle()
        return reply

    def _request(self, target: str, headers: list[tuple[str, str]]) -> bytes:
        try:
            request = h11.Request(method="GET", target=target, headers=[("Host", self.endpoint.authority), *headers])
        except (h11.LocalProtocolError, UnicodeEncodeError):
            # The library's words hold the value, which may be a token.
            reason = "a token, address or name holds characters that cannot stand in a request"
            raise Refused(f"{self.endpoint}: {reason}") from None
        return (self._protocol.send(request) or b"") + (self._protocol.send(h11.EndOfMessage()) or b"")

    async def _read(self) -> Reply:
        head: h11.Response | None = None
        parts: list[bytes] = []
        size = 0
        while True:
            event = self._protocol.next_event()
            if event is h11.NEED_DATA:
                received = await self._reader.read(_READ_BYTES)
                if not received and head is None and not self._protocol.trailing_data[0]:
                    raise HungUp("closed before it answered")
                self._protocol.receive_data(received)
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if size > BODY_BYTES_MAX:
                    raise Unavailable(f"{self.endpoint}: the answer is larger than {BODY_BYTES_MAX} bytes")
                parts.append(bytes(event.data))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                break
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
        self._refuse_open_end(head.status_code, headers)
        return Reply(self.endpoint, head.status_code, headers, b"".join(parts))

    def _refuse_open_end(self, status: int, headers: Mapping[str, str]) -> None:
        """A body that ends when the connection does cannot be told from half of it."""
        if "content-length" not in headers and "transfer-encoding" not in headers and status not in (204, 304):
            raise Unavailable(f"{self.endpoint}: the answer does not say how long it is")
