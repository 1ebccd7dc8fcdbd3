"""Eureka behind the catalog seam: everything is fetched at an interval, since its servers push nothing.

The server caches its answer for 30 s, so that asking more often gains nothing, and it tells changes (`/apps/delta`)
only by a hash that is blind to some and wrong at times; so the whole is read. Which answers are believed is
`lease`'s; this module asks the peers.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

import msgspec

from ctemplate.catalog.asking import refuse_options
from ctemplate.catalog.credentials import Credentials
from ctemplate.catalog.eureka.lease import Lease, merged
from ctemplate.catalog.eureka.records import Key, Listing, Reading, Registered, listing
from ctemplate.catalog.http import Endpoint, Reply
from ctemplate.catalog.layout import Found
from ctemplate.catalog.peers import Peers
from ctemplate.catalog.whole import Whole
from ctemplate.errors import CatalogError, Refused, Unavailable
from ctemplate.events import Emit, Notice
from ctemplate.model import Answer, Instance, Kind, Query

READ_SECONDS = 20.0
"""For one peer's whole answer. A server makes it ready beforehand; 50,000 instances are 50 MB."""
OTHERS_SECONDS = 5.0
"""For what the other peers say beside the first: a frozen one must not hold up what is known."""
GAP_INTERVALS = 1.5
"""How many intervals of silence count for the lease; the interval itself is spread by a tenth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set for one Eureka."""

    path: str = "/eureka"
    """`/eureka` is Spring's, `/eureka/v2` Netflix's own."""
    interval: float = 30.0
    """Seconds between two fetches: the server caches for as long."""
    lease: float = 90.0
    """Seconds for which an instance must be missing: Eureka's `leaseExpirationDurationInSeconds`."""
    reading: Reading = field(default_factory=Reading)
    credentials: Credentials | None = field(default=None, repr=False)


class EurekaCatalog:
    """One Eureka, by its peers."""

    def __init__(self, peers: Peers, settings: Settings, *, emit: Emit) -> None:
        self._peers = peers
        self._settings = settings
        self._emit = emit
        self._lease = Lease(seconds=settings.lease, gap_seconds=GAP_INTERVALS * settings.interval)
        self._whole = Whole(self._read, answer=_select, seconds=settings.interval)

    async def watch(self, query: Query) -> AsyncGenerator[Answer, None]:
        """See `Catalog.watch`."""
        _check(query)
        async with contextlib.aclosing(self._whole.watch(query)) as answers:
            async for answer in answers:
                yield answer

    async def confirm(self, query: Query) -> Answer:
        """Answer from what all peers list now, together; what none lists any more stays for its lease here too."""
        _check(query)
        return _select(await self._read(everyone=True), query)

    async def aclose(self) -> None:
        """See `Catalog.aclose`."""
        await self._whole.aclose()
        self._peers.close()

    def describe(self) -> str:
        """The peers' URLs, the one in use first."""
        return ",".join(f"{endpoint}{self._settings.path}" for endpoint in self._peers.endpoints)

    def connections(self) -> int:
        """See `Catalog.connections`."""
        return self._peers.connections()

    async def _read(self, *, everyone: bool = False) -> Found:
        """Fetch from one peer; from the others too where `everyone` is to be asked, or the first is in doubt."""
        peer, listed = await self._first()
        if everyone or self._lease.doubts(listed):
            listed = await self._ask_others(peer, listed)
        before = self._lease
        self._lease = before.after(listed, now=asyncio.get_running_loop().time())
        if not self._lease.known:
            raise Unavailable(
                f"{peer}: lists no instance at all, as a server does that has just started; that is believed when it "
                f"stays so for {self._settings.lease:g} s"
            )
        self._tell(before, peer)
        return _found(self._lease.held)

    async def _first(self) -> tuple[Endpoint, Listing]:
        """Return what the first peer lists that gives a listing; it becomes the first of all."""
        faults: list[CatalogError] = []
        for endpoint in self._peers.endpoints:
            try:
                listed = await self._ask(endpoint, timeout=READ_SECONDS)
            except CatalogError as fault:
                faults.append(fault)
                continue
            while self._peers.endpoints[0] != endpoint:
                self._peers.turn_away()
            return endpoint, listed
        kind = Refused if all(isinstance(fault, Refused) for fault in faults) else Unavailable
        raise kind("; ".join(str(fault) for fault in faults))

    async def _ask_others(self, peer: Endpoint, listed: Listing) -> Listing:
        """Return what `peer` or any other lists. One that cannot say takes nothing away."""
        said: list[Listing] = []

        async def ask(endpoint: Endpoint) -> None:
            with contextlib.suppress(CatalogError):
                said.append(await self._ask(endpoint, timeout=OTHERS_SECONDS))

        async with asyncio.TaskGroup() as tasks:
            for endpoint in self._peers.endpoints:
                if endpoint != peer:
                    tasks.create_task(ask(endpoint), name=f"ask {endpoint}")
        return functools.reduce(merged, said, listed)

    async def _ask(self, endpoint: Endpoint, *, timeout: float) -> Listing:
        headers = [("Accept", "application/json"), *await self._authorization()]
        target = f"{self._settings.path}/apps"
        reply = await self._peers.ask(target, headers, timeout=timeout, endpoint=endpoint)
        where = f"{endpoint}{target}"
        if reply.status != 200:
            raise _no_listing(where, reply)
        try:
            return listing(reply.body, self._settings.reading)
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise Unavailable(f"{where}: the answer has not the shape of Eureka's ({fault})") from fault

    async def _authorization(self) -> list[tuple[str, str]]:
        credentials = self._settings.credentials
        if credentials is None:
            return []
        password = await asyncio.to_thread(credentials.current)
        token = base64.b64encode(f"{credentials.user}:{password}".encode()).decode()
        return [("Authorization", f"Basic {token}")]

    def _tell(self, before: Lease, peer: Endpoint) -> None:
        """Say once that instances are kept that are listed no more: whoever wonders finds it in the log."""
        if self._lease.missing and not before.missing:
            count = len(self._lease.missing)
            self._emit(
                Notice(
                    message=f"{peer} no longer lists {count} of {len(before.held)} instances: each is kept until it "
                    f"was missing for {self._settings.lease:g} s"
                )
            )


def _no_listing(where: str, reply: Reply) -> CatalogError:
    if reply.status == 401:
        return Refused(f"{where}: 401: Eureka wants another user or password (`user`, `password`)")
    reasons = {
        403: "it has just started and waits for its peers, or we may not read it",
        404: "is the path right? /eureka for Spring, /eureka/v2 for Netflix's own",
    }
    hint = f" ({reasons[reply.status]})" if reply.status in reasons else ""
    return Unavailable(f"{where}: {reply.status}{hint}")


def _check(query: Query) -> None:
    """Raise `Refused` for what Eureka cannot be asked."""
    if query.kind not in (Kind.SERVICE, Kind.SERVICES):
        raise Refused(f"{query}: Eureka has no {query.kind}, only services")
    refuse_options(query, "dc", "near", "filter", by="Eureka")


def _select(found: Found, query: Query) -> Answer:
    return found.services() if query.kind is Kind.SERVICES else found.service(query.name.lower())


def _found(held: Mapping[Key, Registered]) -> Found:
    found = Found()
    for registered in held.values():
        record = registered.record
        if isinstance(record, Instance):
            found.add(record)
        else:
            found.refuse(record.name, record.id, record.reason, node=record.node)
    return found
