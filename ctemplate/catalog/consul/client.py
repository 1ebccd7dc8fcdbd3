"""How Consul is reached: which address, by which TLS, as whom, over how many connections.

It turns every fault into `Unavailable` or `Refused` at this one edge, and says in the words of an operator
what is wrong. It knows nothing of queries and never tries a request again, except on a kept connection
that turns out to be closed; when and whether to try again is for others.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlencode

from ctemplate.catalog.consul.joining import Joining
from ctemplate.catalog.http import Connection, Endpoint, Reply, reason_of
from ctemplate.catalog.tls import Tls
from ctemplate.errors import CatalogError, Refused, Unavailable
from ctemplate.events import Emit, Warned
from ctemplate.settings import Consul

IDLE_SECONDS = 30.0
"""A kept connection that nobody used for so long is given back: the agent counts it against its limit."""
LIMIT_SECONDS = 0.2
"""How long other connections must outlive a new one that was closed, so that it was not the agent that ended."""
HALVED_SECONDS = 2.0
"""Until a smaller budget shows: what was refused meanwhile was asked for by the larger one."""
_ATTEMPTS = 5
"""How often a request that the agent's limit refused is made, a little later each time."""
_FEWEST = 2
"""Connections that no limit of the agent makes fewer: one to park on and one to read by."""
_SAID_CHARACTERS = 300


class Token:
    """The ACL token, read from its file when it is first needed and again after it was refused."""

    def __init__(self, token: str, file: Path | None) -> None:
        self._file = file
        self._known = token or None

    def __call__(self) -> str:
        """Return the token, "" where there is none. Raises `Refused` when its file cannot be read."""
        if self._known is None and self._file is not None:
            try:
                self._known = self._file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as fault:
                raise Refused(f"the token file {self._file} cannot be read: {reason_of(fault)}") from fault
        return self._known or ""

    def forget(self) -> None:
        """Read the file again next time, if there is one."""
        if self._file is not None:
            self._known = None


class LimitReached(Unavailable):
    """The agent takes no more connections from this host; nothing was asked."""


class Slots:
    """How many requests there may be at once; may shrink, never below what is free by itself."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._semaphore = asyncio.Semaphore(size)
        self._surplus = 0
        """How many slots are not given back when they are free."""

    def shrink(self, size: int) -> None:
        """Go on with `size` slots, as soon as enough of those in use are free."""
        self._surplus += self.size - size
        self.size = size

    async def __aenter__(self) -> None:
        await self._semaphore.acquire()

    async def __aexit__(self, *_: object) -> None:
        if self._surplus:
            self._surplus -= 1
        else:
            self._semaphore.release()


class Client:
    """GETs to the Consul agents at `endpoints`, the first that can be reached, over a bounded number of connections."""

    def __init__(
        self,
        endpoints: tuple[Endpoint, ...],
        consul: Consul,
        *,
        emit: Emit = lambda _: None,
        resized: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`resized` is told when the agent's own limit made the budget smaller."""
        self._endpoints = endpoints
        self._consul = consul
        self._token = Token(consul.token, consul.token_file)
        self._tls: ssl.SSLContext | None = None
        self.joining: Joining[Reply] = Joining()
        """Polls that several may wait for."""
        self._slots = Slots(consul.max_connections)
        self._emit = emit
        self._resized = resized
        self._halved_at = float("-inf")
        self._open: set[Connection] = set()
        self._opening = 0
        self._idle: list[tuple[Connection, float]] = []
        """With the monotonic time since when; the last one used is the first to be used again."""

    def describe(self) -> str:
        """Return the addresses, the one in use first."""
        return ",".join(str(endpoint) for endpoint in self._endpoints)

    def connections(self) -> int:
        """Return how many connections are open or being opened."""
        return len(self._open) + self._opening

    async def aclose(self) -> None:
        """Close every connection, those in use too."""
        for connection in self._open:
            connection.abort()
        self._open.clear()
        self._idle.clear()
        await asyncio.sleep(0)  # the event loop closes an aborted socket on its next turn

    async def get(
        self, path: str, params: Mapping[str, str], *, timeout: float, rule: str, parked: bool = False
    ) -> Reply:
        """Send one GET and return its answer, which is a 200 or a 404.

        `timeout`: seconds for everything after the connection is there. `rule`: the ACL rule to name when
        the answer is 403. `parked`: the answer may be held back until there is news since an index; such a
        request is never sent again, since an agent that restarted meanwhile counts from elsewhere.
        Raises `Unavailable` and `Refused`.
        """
        target = f"{path}?{urlencode(params)}" if params else path
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with self._slots:
                    reply = await self._exchange(target, timeout=timeout, again=not parked)
                if reply.status != 429:
                    break
                self._halve(f"{reply.endpoint} answers 429")
            except LimitReached as limit:
                self._halve(str(limit))
                if attempt == _ATTEMPTS:
                    raise
            if attempt < _ATTEMPTS:
                await asyncio.sleep(LIMIT_SECONDS * attempt)  # without a slot: there are fewer now
        if reply.status in (200, 404):
            return reply
        fault = fault_of(reply, f"{reply.endpoint}{path}", rule)
        if reply.status == 403:
            self._token.forget()
        elif isinstance(fault, Unavailable) and reply.status != 429:
            self._turn_away_from(reply.endpoint)
        raise fault

    async def _exchange(self, target: str, *, timeout: float, again: bool) -> Reply:
        headers = self._headers()
        while True:
            connection, kept = await self._connection()
            done = False
            try:
                async with asyncio.timeout(timeout):
                    reply = await connection.request(target, headers)
                done = True
                return reply
            except TimeoutError as fault:
                raise self._lost(connection, f"no whole answer within {timeout:.0f}s") from fault
            except OSError as fault:
                # A kept connection may have been closed while it was idle, which says nothing of the agent.
                if not (again and kept and isinstance(fault, ConnectionError)):
                    hint = ""
                    if isinstance(fault, ConnectionError) and not kept:
                        hint = _LIMIT_HINT
                        if await self._others_live(connection):
                            raise LimitReached(f"{connection.endpoint} closes a new connection unanswered") from fault
                    raise self._lost(connection, reason_of(fault) + hint) from fault
            finally:
                self._release(connection, keep=done)

    async def _connection(self) -> tuple[Connection, bool]:
        """Return a connection, and whether it is a kept one."""
        while self._idle:
            connection, _ = self._idle.pop()
            if connection.reusable:
                return connection, True
            self._discard(connection)
        return await self._connect(), False

    async def _connect(self) -> Connection:
        """Connect to the first endpoint that can be reached; it becomes the first of all."""
        faults: list[CatalogError] = []
        for endpoint in self._endpoints:
            try:
                connection = await self._open_one(endpoint)
            except CatalogError as fault:
                faults.append(fault)
            else:
                rest = tuple(other for other in self._endpoints if other != endpoint)
                self._endpoints = (endpoint, *rest)
                return connection
        kind = Refused if all(isinstance(fault, Refused) for fault in faults) else Unavailable
        raise kind("; ".join(str(fault) for fault in faults))

    async def _open_one(self, endpoint: Endpoint) -> Connection:
        tls = self._context() if endpoint.tls else None
        self._opening += 1
        try:
            connection = await Connection.open(endpoint, tls=tls, server_name=self._consul.tls_server_name)
        except Refused:
            self._tls = None  # its files may be mended by the next attempt
            raise
        finally:
            self._opening -= 1
        self._open.add(connection)
        return connection

    def _release(self, connection: Connection, *, keep: bool) -> None:
        now = time.monotonic()
        usable = keep and connection in self._open and connection.endpoint == self._endpoints[0]
        if usable and connection.reusable:
            self._idle.append((connection, now))
        else:
            self._discard(connection)
        while self._idle and self._idle[0][1] < now - IDLE_SECONDS:
            self._discard(self._idle.pop(0)[0])

    def _discard(self, connection: Connection) -> None:
        connection.abort()
        self._open.discard(connection)

    def _lost(self, connection: Connection, reason: str) -> Unavailable:
        self._turn_away_from(connection.endpoint)
        return Unavailable(f"{connection.endpoint}: {reason}")

    def _turn_away_from(self, endpoint: Endpoint) -> None:
        """Let the next request try another address first, if there is one."""
        if len(self._endpoints) > 1 and endpoint == self._endpoints[0]:
            self._endpoints = (*self._endpoints[1:], endpoint)
            while self._idle:
                self._discard(self._idle.pop()[0])

    async def _others_live(self, connection: Connection) -> bool:
        """Whether connections that are as old hold: then a new one was refused, and the agent itself is well."""
        others = [other for other in self._open if other is not connection]
        if not others:
            return False
        await asyncio.sleep(LIMIT_SECONDS)
        return any(other in self._open and not other.hung_up for other in others)

    def _halve(self, why: str) -> None:
        """Go on with half the connections: the agent has none left for this host."""
        now, before = time.monotonic(), self._slots.size
        if now < self._halved_at + HALVED_SECONDS:
            return
        self._halved_at = now
        self._slots.shrink(max(_FEWEST, before // 2))
        if self._slots.size < before:
            self._resized(self._slots.size)
            self._emit(
                Warned(
                    message=f"{why}: its limit on connections of this host is reached "
                    "(limits.http_max_conns_per_client in its configuration, 200 unless set). From now on at most "
                    f"{self._slots.size} are used instead of {before}; raise that limit, or set -max-connections lower"
                )
            )

    def _headers(self) -> list[tuple[str, str]]:
        headers = [("Accept", "application/json")]
        if token := self._token():
            headers.append(("X-Consul-Token", token))
        if self._consul.auth:
            headers.append(("Authorization", f"Basic {base64.b64encode(self._consul.auth.encode()).decode()}"))
        return headers

    def _context(self) -> ssl.SSLContext:
        """Return the TLS settings, read from their files once."""
        if self._tls is None:
            consul = self._consul
            self._tls = Tls(
                ca_file=consul.ca_file,
                client_cert=consul.client_cert,
                client_key=consul.client_key,
                verify=consul.ssl_verify,
            ).context()
        return self._tls


_BAD_FILTER = "boolean expression evaluator"  # Consul 1.8 answers 500 to a filter that it cannot parse
_LIMIT_HINT = " (an agent allows limits.http_max_conns_per_client connections from one address, 200 unless set)"


def fault_of(reply: Reply, where: str, rule: str) -> CatalogError:
    """Return what an answer that is neither 200 nor 404 means."""
    said = " ".join(reply.body[: 4 * _SAID_CHARACTERS].decode("utf-8", "replace").split())[:_SAID_CHARACTERS]
    words = f": {said}" if said else ""
    match reply.status:
        case 403:
            return Refused(f"{where}: 403{words}; the token needs {rule}")
        case 401:
            return Refused(f"{where}: 401{words}; -consul-auth is missing or wrong")
        case 400 | 500 if reply.status == 400 or _BAD_FILTER in said:
            return Refused(f"{where}: {reply.status}{words}; Consul calls the query wrong")
        case 429:
            return Unavailable(f"{where}: 429{words}{_LIMIT_HINT}")
        case status if 300 <= status < 400:
            return Refused(f"{where}: {status}; Consul answers no such query with a redirect")
        case status:
            return Unavailable(f"{where}: {status}{words}")
