"""What comes in on a connection: llhttp takes the bytes apart as they arrive, and whoever asked is woken when due.

Bytes go from the socket to the parser through one buffer that all connections of a thread share: the memory for them,
got anew for each read and given back, costs as much as the parsing. It knows one answer, the one that is awaited.
Nothing is read before the first is (with TLS 1.2 it may come together with the end of the handshake), and what comes
between two answers ends the connection.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from typing import cast

import httptools

BODY_BYTES_MAX = 256 * 1024 * 1024
"""Ten times the largest answer measured (50,000 checks: 22 MB): beyond it the other side is not what we think."""
HEAD_BYTES_MAX = 16 * 1024
"""Of a head, and of anything else that is no body and does not end; h11's own bound. Consul's heads have 0.5 KB."""
HELD_BYTES_MAX = 1024 * 1024
"""Of a body that is read bit by bit: beyond it nothing is received until somebody takes what is there."""
_READ_BYTES = 256 * 1024


class HungUp(ConnectionError):
    """The other side closed the connection before it said anything: a kept connection may be used no more."""


class Malformed(ValueError):
    """What came is no whole answer, or too much of one; the text says why."""


class _Room(threading.local):
    """Where the socket's bytes lie while they are parsed, which is over before the event loop does anything else."""

    def __init__(self) -> None:
        self.bytes = memoryview(bytearray(_READ_BYTES))


_ROOM = _Room()


class Incoming(asyncio.BufferedProtocol):
    """What came of the answer that is awaited. The parser calls what begins with `on_`, asyncio what has its names."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._woken: asyncio.Future[None] | None = None
        self._fault: Exception | None = None
        """Why nothing more will come."""
        self._forget(whole=False)

    def _forget(self, *, whole: bool) -> None:
        self._whole = whole
        self._began = False
        """Whether anything came."""
        self._useless = 0
        """Bytes that came since the last that were of use: of a head, or a trailer, that has not ended."""
        self._parts: list[bytes] = []
        """Of its body, what nobody has taken yet, and `_held`, how many bytes these are."""
        self._held = 0
        self.awaited = False
        """Whether the answer was asked for and is not complete."""
        self.last = False
        """Whether the connection cannot be used for another."""
        self.status = 0
        """0: its head is not complete."""
        self.headers: dict[str, str] = {}

    def expect(self, *, whole: bool) -> None:
        """Begin with the next answer; `whole`: nobody waits for less than all of it."""
        self._forget(whole=whole)
        self.awaited = True
        self._transport.resume_reading()

    @property
    def is_sized(self) -> bool:
        """Whether it says itself where it ends."""
        return "content-length" in self.headers or "transfer-encoding" in self.headers or self.status in (204, 304)

    @property
    def is_taken(self) -> bool:
        """Whether nothing is left to take, now or later."""
        return not (self.awaited or self._parts)

    async def more(self) -> None:
        """Wait until all of the answer is there if it is wanted whole, else until anything is, if only of its head.

        Raises OSError when the network failed, `HungUp` when the other side closed before it said anything, and
        `Malformed`; what came before stays to be taken first, unless it is wanted whole.
        """
        if not (self._is_due or self._fault):
            self._woken = asyncio.get_running_loop().create_future()
            try:
                await self._woken
            finally:
                self._woken = None
        if self._fault and not self._is_due:
            raise copy.copy(self._fault)  # what is raised holds this frame, and so would be held by itself

    @property
    def _is_due(self) -> bool:
        return not self.awaited or (bool(self._parts) and not self._whole)

    def take(self) -> list[bytes]:
        """Return what came of the body and was not taken yet, and let more come."""
        parts, self._parts, self._held = self._parts, [], 0
        self._transport.resume_reading()
        return parts

    # -- what asyncio tells ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what the answers come by."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.pause_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where to put what comes."""
        return _ROOM.bytes

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came, and wake whoever waits for it."""
        asked, had = self.awaited, (self.status, self._held)
        self._began = True
        try:
            self._parser.feed_data(_ROOM.bytes[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as fault:
            self.last = True
            if self.awaited:
                self._fail(Malformed(f"the answer is no HTTP ({fault})"))
        if self.last and not asked:
            self._transport.abort()
        self._useless = self._useless + nbytes if had == (self.status, self._held) else 0
        if self.awaited and self._useless > HEAD_BYTES_MAX:
            self._fail(Malformed("the answer is no HTTP (its headers do not end)"))
        if self._held > HELD_BYTES_MAX and not self._whole:
            self._transport.pause_reading()
        if self._fault or not (self._whole and self.awaited):
            self._wake()

    def eof_received(self) -> None:
        """Tell at once; asyncio closes the connection only when all is sent that was written."""
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self._end(exc)

    # -- what the parser tells ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins."""
        if not self.awaited:
            self.last = True  # nobody asked for it

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of its head is whole, or of the trailer."""
        if self.awaited and not self.status:  # a trailer may not say anything of the answer
            self.headers[name.decode("ascii").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Its head is whole; a provisional answer has no more than that."""
        if not self.awaited:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self.headers = {}
        else:
            self.status = status
            self.last = not self._parser.should_keep_alive()
            self._bound(int(self.headers.get("content-length", "0")))

    def on_body(self, data: bytes) -> None:
        """A piece of its body is there."""
        if self.awaited and self.status and not self._fault:
            self._parts.append(data)
            self._held += len(data)
            self._bound(self._held)

    def on_message_complete(self) -> None:
        """It is whole."""
        if self.status and not self._fault:
            self.awaited = False

    # -- how it ends -------------------------------------------------------------------------------

    def _bound(self, size: int) -> None:
        if self._whole and size > BODY_BYTES_MAX:
            self._fail(Malformed(f"the answer is larger than {BODY_BYTES_MAX} bytes"))

    def _end(self, error: Exception | None) -> None:
        self.last = True
        if error or not (self.awaited and self._began):
            self._fail(error or HungUp("closed before it answered"))
        elif self.status and not self.is_sized:
            self.awaited = False
        else:
            self._fail(Malformed("the answer is cut short"))
        self._wake()

    def _fail(self, fault: Exception) -> None:
        self._fault = self._fault or fault
        if self.awaited and self._whole:
            self._parts.clear()  # the parser and this hold each other, and with them what nobody will take

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)
