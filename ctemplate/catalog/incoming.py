"""What comes in on a connection: llhttp takes the bytes apart as they arrive, and whoever asked is woken when due.

Bytes go from the socket to the parser through one buffer that all connections of a thread share: the memory for them,
got anew for each read and given back, costs as much as the parsing. It knows one answer, the one that is awaited;
whatever else arrives makes the connection unusable for another.
"""

from __future__ import annotations

import asyncio
import threading
from typing import cast

import httptools

HEAD_BYTES_MAX = 16 * 1024
"""Of a head, and of anything else that is no body and does not end; h11's own bound. Consul's heads have 0.5 KB."""
HELD_BYTES_MAX = 1024 * 1024
"""Of a body that is read bit by bit: beyond it nothing is received until somebody takes what is there."""
_READ_BYTES = 256 * 1024


class HungUp(ConnectionError):
    """The other side closed the connection before it said anything: a kept connection may be used no more."""


class Malformed(ValueError):
    """What came is no answer; the text says why."""


class _Room(threading.local):
    """Where the socket's bytes lie while they are parsed, which is over before the event loop does anything else."""

    def __init__(self) -> None:
        self.bytes = memoryview(bytearray(_READ_BYTES))


_ROOM = _Room()


class Incoming(asyncio.BufferedProtocol):
    """What came of the answer that is awaited. The parser calls what begins with `on_`, asyncio the rest."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._fault: Exception | None = None
        self._woken: asyncio.Future[None] | None = None
        self.expect()
        self.complete = True

    def expect(self, *, at_most: int | None = None) -> None:
        """Begin with the next answer: all of it, of so many bytes of body `at_most`; None: bit by bit."""
        self._at_most = at_most
        self._began = False
        self._useless = 0
        """Bytes that came since the last that were of use: of a head, or a trailer, that has not ended."""
        self._parts: list[bytes] = []
        self._held = 0
        """Bytes of these."""
        self.status = 0
        """0: its head is not complete."""
        self.headers: dict[str, str] = {}
        self.complete = False
        self.last = False
        """Whether the connection cannot be used for another."""

    @property
    def is_sized(self) -> bool:
        """Whether it says itself where it ends."""
        return "content-length" in self.headers or "transfer-encoding" in self.headers or self.status in (204, 304)

    @property
    def is_taken(self) -> bool:
        """Whether nothing is left to take, now or later."""
        return self.complete and not self._parts

    async def more(self) -> None:
        """Wait until there is more than was taken: of an answer that is wanted whole, all.

        Raises OSError when the network failed, `HungUp` when the other side closed before it said anything, and
        `Malformed`. Nothing more will come then.
        """
        if not (self.complete or self._parts or self._fault):
            self._woken = asyncio.get_running_loop().create_future()
            try:
                await self._woken
            finally:
                self._woken = None
        if self._fault and not self.complete:
            fault, self._fault = self._fault, None
            try:
                raise fault
            finally:
                del fault  # it holds this frame, and would be held by it: a cycle

    def take(self) -> list[bytes]:
        """Return what came of the body and was not taken yet."""
        parts, self._parts, self._held = self._parts, [], 0
        self.transport.resume_reading()
        return parts

    # -- what asyncio tells ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what the answers come by."""
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where to put what comes."""
        return _ROOM.bytes

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came, and wake whoever waits for it."""
        had, self._began = (self.status, self._held), True
        try:
            self._parser.feed_data(_ROOM.bytes[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as fault:
            self.last = True
            if not self.complete:
                self._fail(Malformed(f"the answer is no HTTP ({fault})"))
        self._useless = self._useless + nbytes if had == (self.status, self._held) else 0
        if self._useless > HEAD_BYTES_MAX and not self.complete:
            self._fail(Malformed("the answer is no HTTP (its headers do not end)"))
        if self._at_most is None and self._held > HELD_BYTES_MAX:
            self.transport.pause_reading()
        if self._at_most is None or self.complete or self._fault:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell what the end means for the answer that is awaited."""
        if exc or self.complete or not self._began:
            self._fail(exc or HungUp("closed before it answered"))
        elif self.status and not self.is_sized:
            self.complete = self.last = True
        else:
            self._fail(Malformed("the answer is cut short"))
        self._wake()

    # -- what the parser tells ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins."""
        if self.complete:
            self.last = True  # nobody asked for it

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of its head is whole, or of the trailer."""
        if not self.status and not self.complete:  # a trailer may not say anything of the answer
            self.headers[name.decode("ascii").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Its head is whole; a provisional answer has no more than that."""
        if self.complete:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self.headers = {}  # of a provisional answer
        else:
            self.status = status
            self.last = not self._parser.should_keep_alive()
            self._bound(int(self.headers.get("content-length", "0")))

    def on_body(self, data: bytes) -> None:
        """A piece of its body is there."""
        if self.status and not self.complete:
            self._parts.append(data)
            self._held += len(data)
            self._bound(self._held)

    def on_message_complete(self) -> None:
        """It is whole."""
        self.complete = self.complete or (self.status > 0 and not self._fault)

    # -- how it ends -------------------------------------------------------------------------------

    def _bound(self, size: int) -> None:
        if self._at_most is not None and size > self._at_most:
            self._fail(Malformed(f"the answer is larger than {self._at_most} bytes"))

    def _fail(self, fault: Exception) -> None:
        self._fault = self._fault or fault

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)
