"""etcd behind the catalog seam: which keys answer which query.

All services are one range, read as a whole for every watch of one (`catalog.whole`); each key and each folder is a
range of its own, and so a connection of its own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from ctemplate.catalog.asking import refuse_options
from ctemplate.catalog.etcd.client import Client
from ctemplate.catalog.etcd.gateway import Pair, Span
from ctemplate.catalog.etcd.parts import Parts
from ctemplate.catalog.etcd.reading import Reading
from ctemplate.catalog.layout import Found, Layout
from ctemplate.catalog.whole import Whole
from ctemplate.errors import Refused
from ctemplate.model import Answer, BadRecord, KeyValue, Kind, Query

REREAD_SECONDS = 30.0
"""A read that nothing asked for: it finds a member that froze, a right that was taken, an event that was lost."""


class EtcdCatalog:
    """Services and keys of one etcd cluster.

    `base` is what every key and `services` what every service's key begins with: empty, or with a slash at its end.
    """

    def __init__(self, client: Client, *, layout: Layout, base: str, services: str) -> None:
        self._client = client
        self._parts = Parts(layout)
        self._base = base
        self._folder = services
        self._pairs: list[Pair] = []
        self._found = Found()
        """What the layout made of `_pairs`."""
        self._reading = Reading(client, Span.below(services))
        self._services = Whole(self._read_services, answer=_select, seconds=REREAD_SECONDS, listen=self._reading.listen)

    def watch(self, query: Query) -> AsyncGenerator[Answer, None]:
        """See `Catalog.watch`."""
        if query.kind not in _KEYS:
            return self._services.watch(query)
        return self._watch_keys(query)

    async def confirm(self, query: Query) -> Answer:
        """Read through the cluster's majority, as every read does."""
        _check(query)
        if query.kind not in _KEYS:
            pairs, _ = await self._client.read(Span.below(self._folder))
            return _select(self._made_of(pairs), query)
        pairs, _ = await self._client.read(self._span_of(query))
        return self._select_keys(pairs, query)

    async def aclose(self) -> None:
        """See `Catalog.aclose`."""
        await self._services.aclose()
        self._client.peers.close()

    def describe(self) -> str:
        """The members' URLs, the one in use first."""
        return self._client.peers.describe()

    def connections(self) -> int:
        """See `Catalog.connections`."""
        return self._client.peers.connections()

    async def _read_services(self) -> Found:
        pairs = await self._reading.read()
        if pairs != self._pairs:
            self._found, self._pairs = self._made_of(pairs), pairs
        return self._found

    def _made_of(self, pairs: list[Pair]) -> Found:
        start = len(self._folder.encode())
        return self._parts.found((pair.key[start:].decode(errors="replace"), pair.value) for pair in pairs)

    async def _watch_keys(self, query: Query) -> AsyncGenerator[Answer, None]:
        _check(query)
        reading = Reading(self._client, self._span_of(query))
        whole = Whole(reading.read, answer=self._select_keys, seconds=REREAD_SECONDS, listen=reading.listen)
        async for answer in whole.watch(query):
            yield answer

    def _span_of(self, query: Query) -> Span:
        if query.kind is Kind.KEYS:
            return Span.below(self._folder_of(query))
        if not query.name:
            raise Refused(f"{query} names no key")
        return Span((self._base + (query.name.lstrip("/") if self._base else query.name)).encode())

    def _folder_of(self, query: Query) -> str:
        # The folder, not the prefix: "app" must not take in the keys of "apple".
        name = query.name.strip("/") if self._base else query.name.rstrip("/")
        return self._base + (f"{name}/" if name else "")

    def _select_keys(self, pairs: list[Pair], query: Query) -> Answer:
        if query.kind is Kind.KEY:
            return Answer(_text(pairs[0], query) if pairs else None)
        start = len(self._folder_of(query).encode())
        found: list[KeyValue] = []
        bad: list[BadRecord] = []
        for pair in pairs:
            path = pair.key[start:].decode(errors="replace")
            if not path or path.endswith("/"):
                continue
            try:
                found.append(KeyValue(path, pair.value.decode()))
            except UnicodeDecodeError:
                bad.append(BadRecord(path, "", "", "value is not UTF-8 text"))
        return Answer(tuple(found), tuple(bad))


_KEYS = (Kind.KEY, Kind.KEYS)


def _check(query: Query) -> None:
    """Raise `Refused` for what etcd has no notion of."""
    if query.kind not in (*_KEYS, Kind.SERVICE, Kind.SERVICES):
        raise Refused(f"{query}: etcd has no {query.kind}")
    refuse_options(query, "dc", "near", "filter", by="etcd")


def _select(found: Found, query: Query) -> Answer:
    _check(query)
    return found.service(query.name) if query.kind is Kind.SERVICE else found.services()


def _text(pair: Pair, query: Query) -> str:
    try:
        return pair.value.decode()
    except UnicodeDecodeError:
        raise Refused(f"{query}: its value is not UTF-8 text, which no template can print") from None
