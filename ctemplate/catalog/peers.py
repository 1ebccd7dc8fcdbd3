"""HTTP to one of several servers that hold the same: the first that can be reached, another after a fault.

For catalogs that ask seldom or hold one stream: each request has a connection of its own, so whatever is
cancelled is closed at once and nothing is shared. Consul, which is asked all the time, keeps its own
(`consul.client`). It knows nothing of what is asked, retries nothing, and leaves statuses to the caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence

from ctemplate.catalog.http import Connection, Endpoint, Reply, reason_of
from ctemplate.catalog.incoming import BODY_BYTES_MAX
from ctemplate.catalog.tls import Tls
from ctemplate.errors import CatalogError, Refused, Unavailable

Headers = Sequence[tuple[str, str]]


class Peers:
    """The servers of one catalog, at `endpoints`."""

    def __init__(self, endpoints: tuple[Endpoint, ...], *, tls: Tls | None = None) -> None:
        self._endpoints = endpoints
        self._tls = tls or Tls()
        self._context: ssl.SSLContext | None = None
        self._open: set[Connection] = set()

    def describe(self) -> str:
        """Return the addresses, the one in use first."""
        return ",".join(str(endpoint) for endpoint in self._endpoints)

    def connections(self) -> int:
        """Return how many connections are open."""
        return len(self._open)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All of them, the one in use first."""
        return self._endpoints

    def close(self) -> None:
        """Abort every connection."""
        for connection in self._open:
            connection.abort()
        self._open.clear()

    def turn_away(self) -> None:
        """Let the next request try another server first, if there is one."""
        self._endpoints = (*self._endpoints[1:], self._endpoints[0])

    async def ask(
        self,
        target: str,
        headers: Headers = (),
        *,
        timeout: float,
        method: str = "GET",
        body: bytes = b"",
        endpoint: Endpoint | None = None,
    ) -> Reply:
        """Return the whole answer to one request, whatever its status.

        `timeout`: seconds for all after the connection is there. `endpoint`: ask this one and no other.
        Raises `Unavailable` and `Refused`; after the first, the next request goes elsewhere.
        """
        async with self._connection(target, endpoint) as connection, asyncio.timeout(timeout):
            return await connection.request(target, list(headers), method=method, body=body)

    @contextlib.asynccontextmanager
    async def stream(
        self, target: str, headers: Headers = (), *, timeout: float, method: str = "GET", body: bytes = b""
    ) -> AsyncIterator[tuple[Reply, AsyncIterator[bytes]]]:
        """Give the head of an answer and its body as it comes, without end; closed when the block is left.

        `timeout`: seconds until the head is there. How long the body may be silent is the caller's to bound.
        The block raises as `ask` does, also for what goes wrong while the body is read.
        """
        async with self._connection(target, None) as connection:
            async with asyncio.timeout(timeout):
                head = await connection.begin(target, list(headers), method=method, body=body)
            streaming = head.status == 200
            async with contextlib.aclosing(connection.chunks(limit=None if streaming else BODY_BYTES_MAX)) as chunks:
                yield head, chunks

    @contextlib.asynccontextmanager
    async def _connection(self, target: str, endpoint: Endpoint | None) -> AsyncIterator[Connection]:
        """A connection for one request; what goes wrong on it is translated, and the server turned away from."""
        connection = await self._connect((endpoint,) if endpoint else self._endpoints)
        where = f"{connection.endpoint}{target.partition('?')[0]}"
        try:
            yield connection
        except TimeoutError as fault:
            self._turn_away_from(connection.endpoint)
            raise Unavailable(f"{where}: no answer in time") from fault
        except OSError as fault:
            self._turn_away_from(connection.endpoint)
            raise Unavailable(f"{where}: {reason_of(fault)}") from fault
        except Unavailable:
            self._turn_away_from(connection.endpoint)
            raise
        finally:
            connection.abort()
            self._open.discard(connection)

    async def _connect(self, endpoints: Sequence[Endpoint]) -> Connection:
        """Connect to the first that can be reached; it becomes the first of all."""
        faults: list[CatalogError] = []
        for endpoint in endpoints:
            try:
                connection = await self._open_one(endpoint)
            except CatalogError as fault:
                faults.append(fault)
            else:
                if len(endpoints) > 1:
                    self._endpoints = (endpoint, *(other for other in self._endpoints if other != endpoint))
                return connection
        if len(faults) == 1:
            raise faults[0]  # with its cause, which some callers know more about
        kind = Refused if all(isinstance(fault, Refused) for fault in faults) else Unavailable
        raise kind("; ".join(str(fault) for fault in faults))

    async def _open_one(self, endpoint: Endpoint) -> Connection:
        if endpoint.tls and self._context is None:
            self._context = self._tls.context()
        tls = self._context if endpoint.tls else None
        try:
            connection = await Connection.open(endpoint, tls=tls, server_name=self._tls.server_name)
        except Refused:
            self._context = None  # its files may be mended by the next attempt
            raise
        self._open.add(connection)
        return connection

    def _turn_away_from(self, endpoint: Endpoint) -> None:
        if endpoint == self._endpoints[0]:
            self.turn_away()
