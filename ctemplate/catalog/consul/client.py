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
from typing import NamedTuple
from urllib.parse import urlencode

from ctemplate.catalog.consul.blocking import Poll
from ctemplate.catalog.consul.budget import Budget
from ctemplate.catalog.consul.faults import LIMIT_HINT, fault_of
from ctemplate.catalog.consul.joining import Joining
from ctemplate.catalog.consul.token import Token
from ctemplate.catalog.http import Connection, Endpoint, Reply, reason_of
from ctemplate.catalog.tls import Tls
from ctemplate.errors import CatalogError, Refused, Unavailable
from ctemplate.events import Emit
from ctemplate.settings import Consul

IDLE_SECONDS = 30.0
"""A kept connection that nobody used for so long is given back: the agent counts it against its limit."""
LIMIT_SECONDS = 0.2
"""How long other connections must outlive a new one that was closed, so that it was not the agent that ended."""
_ATTEMPTS = 5
"""How often a request that the agent's limit refused is made, a little later each time."""


class LimitReached(Unavailable):
    """The agent takes no more connections from this host; nothing was asked."""


class Recent(NamedTuple):
    """The last answer to a question, where to go on from it, and when it came, in monotonic seconds."""

    poll: Poll
    reply: Reply
    at: float


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
        self.recent: dict[str, Recent] = {}
        """By path, what such polls were answered; forgotten at any fault, as an agent that restarted counts anew."""
        self._budget = Budget(consul.max_connections, emit=emit, resized=resized)
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
                async with self._budget:
                    reply = await self._exchange(target, timeout=timeout, again=not parked)
                if reply.status != 429:
                    break
                self._budget.halve(f"{reply.endpoint} answers 429")
            except LimitReached as limit:
                self._budget.halve(str(limit))
                if attempt == _ATTEMPTS:
                    raise
            if attempt < _ATTEMPTS:
                await asyncio.sleep(LIMIT_SECONDS * attempt)  # without a slot: there are fewer now
        if reply.status in (200, 404):
            return reply
        self.recent.clear()
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
                        hint = LIMIT_HINT
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
        self.recent.clear()
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
