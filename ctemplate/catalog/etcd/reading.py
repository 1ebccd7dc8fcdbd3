"""One range, read again by what changed in it: a change of one key must not cost five thousand.

What was modified after the last read is asked for, and etcd says besides how many keys there are. What was known and
what was modified hold every key there is now; where together they are as many, none was deleted, and they are all.
Otherwise all is read, and so it is by the first read `WHOLE_SECONDS` after that was last done, after anything that
failed, and once anybody has met another store. Each of these is a read through the cluster's majority: what a watch
says is not believed here either.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

import msgspec

from ctemplate.catalog.etcd.client import Client
from ctemplate.catalog.etcd.gateway import Pair, Span

WHOLE_SECONDS = 25.0
"""Less than what passes between two reads that nothing asked for: those read everything. A change just before it is
over puts that off by one interval, so everything is read once a minute at least."""


class _Known(msgspec.Struct, frozen=True):
    pairs: list[Pair]
    """Every key, sorted."""
    revision: int
    """At which that was so, of the store that was the latest then."""
    store: int
    whole_at: float
    """When all was last read, in monotonic seconds."""


class Reading:
    """What is known of a range, from read to read. Used by one reader."""

    def __init__(self, client: Client, span: Span) -> None:
        self._client = client
        self._span = span
        self._known: _Known | None = None

    def listen(self) -> AsyncGenerator[None, None]:
        """See `Client.listen`. Whoever begins to listen reads everything first: it may be another store."""
        self._known = None
        return self._client.listen(self._span)

    async def read(self) -> list[Pair]:
        """Return every key at one moment, sorted; the same list where nothing changed. Raises as `Client.read`."""
        known, now, store = self._known, time.monotonic(), self._client.stores
        self._known = None  # whatever fails, all is read next
        new = None
        if known is not None and known.store == store and now < known.whole_at + WHOLE_SECONDS:
            new = await self._since(known)
        if new is None:
            pairs, revision = await self._client.read(self._span)
            new = _Known(pairs, revision, store, now)
        self._known = new
        return new.pairs

    async def _since(self, known: _Known) -> _Known | None:
        """Return what is so now; None where that takes more than what was modified."""
        page = await self._client.read_since(self._span, known.revision)
        if page.more:
            return None
        pairs = {pair.key: pair for pair in known.pairs}
        if any(pairs.get(pair.key) != pair for pair in page.kvs):
            pairs.update((pair.key, pair) for pair in page.kvs)
            kept = [pairs[key] for key in sorted(pairs)]
        else:
            kept = known.pairs
        if len(pairs) != page.count:
            return None
        return _Known(kept, page.header.revision, known.store, known.whole_at)
