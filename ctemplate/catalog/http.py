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

import msgspec

from ctemplate.catalog.incoming import Incoming, Malformed
from ctemplate.errors import Refused, Unavailable

CONNECT_SECONDS = 5.0
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


class Connection:
    """A connection to one endpoint, kept between requests. Whoever gets an exception from it must `abort` it."""

    def __init__(self, endpoint: Endpoint, transport: asyncio.Transport, incoming: Incoming) -> None:
        self.endpoint = endpoint
        self._transport = transport
        self._incoming = incoming

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
        loop = asyncio.get_running_loop()
        if endpoint.path:
            made = await loop.create_unix_connection(Incoming, endpoint.path, ssl=tls, server_hostname=name or None)
        else:
            made = await loop.create_connection(Incoming, endpoint.host, endpoint.port, ssl=tls, server_hostname=name)
        return cls(endpoint, *made)

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent, as far as is known now."""
        return not (self._incoming.awaited or self._incoming.last or self.hung_up)

    @property
    def hung_up(self) -> bool:
        """Whether it is closed, by whichever side, as far as is known now."""
        return self._transport.is_closing()

    def abort(self) -> None:
        """Close at once, without a farewell."""
        self._transport.abort()

    async def request(
        self, target: str, headers: list[tuple[str, str]], *, method: str = "GET", body: bytes = b""
    ) -> Reply:
        """Send one request and read the whole answer; the caller bounds the time.

        Raises what `begin` and `chunks` raise, and `Unavailable` when the answer does not say how long it is:
        half of it could not be told from the whole.
        """
        incoming = self._incoming
        self._send(self._request(target, headers, method, body), whole=True)
        await self._more()
        parts = incoming.take()
        if not incoming.is_sized:
            raise Unavailable(f"{self.endpoint}: the answer does not say how long it is")
        return Reply(self.endpoint, incoming.status, incoming.headers, b"".join(parts))

    async def begin(
        self, target: str, headers: list[tuple[str, str]], *, method: str = "GET", body: bytes = b""
    ) -> Reply:
        """Send one request and return the head of its answer; its body comes from `chunks`.

        Raises OSError when the network failed or the other side closed before it said anything (`HungUp`),
        `Unavailable` when what came is no HTTP, `Refused` when a header cannot be sent.
        """
        incoming = self._incoming
        self._send(self._request(target, headers, method, body), whole=False)
        while not incoming.status:
            await self._more()
        return Reply(self.endpoint, incoming.status, incoming.headers)

    async def chunks(self, *, limit: int | None) -> AsyncGenerator[bytes]:
        """Yield the body piece by piece as it comes; `limit` bytes in all, None for a stream without end.

        Raises OSError when the network failed, `Unavailable` when the body is cut short or too large.
        """
        size, incoming = 0, self._incoming
        while not incoming.is_taken:
            await self._more()
            for part in incoming.take():
                size += len(part)
                if limit is not None and size > limit:
                    raise Unavailable(f"{self.endpoint}: the answer is larger than {limit} bytes")
                yield part

    def _send(self, request: bytes, *, whole: bool) -> None:
        self._incoming.expect(whole=whole)
        self._transport.write(request)

    def _request(self, target: str, headers: list[tuple[str, str]], method: str, body: bytes) -> bytes:
        size = [("Content-Length", str(len(body)))] if body or method == "POST" else []
        fields = [("Host", self.endpoint.authority), *size, *headers]
        if not _TARGET.fullmatch(target) or not all(_NAME.fullmatch(n) and _VALUE.fullmatch(v) for n, v in fields):
            # What is wrong is not named: it may be a token.
            reason = "a token, address or name holds characters that cannot stand in a request"
            raise Refused(f"{self.endpoint}: {reason}")
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
        return "\r\n".join(lines).encode("ascii") + body

    async def _more(self) -> None:
        try:
            await self._incoming.more()
        except Malformed as fault:
            raise Unavailable(f"{self.endpoint}: {fault}") from None


def reason_of(fault: Exception) -> str:
    """Return a library's error as a few words: the system's own where there is an errno."""
    if isinstance(fault, ssl.SSLError):
        return getattr(fault, "verify_message", "") or fault.reason or str(fault)
    if isinstance(fault, OSError) and not isinstance(fault, socket.gaierror) and fault.errno:
        return os.strerror(fault.errno)
    return str(fault.strerror if isinstance(fault, socket.gaierror) else fault) or type(fault).__name__
