"""What the hub hands out: what is new, and how each catalog is. Plain data."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ctemplate.model import Failure, Query, Snapshot


class Update(msgspec.Struct, frozen=True):
    """What is known now, and which queries have news since the last update."""

    snapshot: Snapshot
    changed: frozenset[Query]


class CatalogReport(msgspec.Struct, frozen=True, kw_only=True):
    """How one catalog is, for `ctemplate status`."""

    name: str
    where: str
    """Its address, without secrets."""
    connected: bool
    since: float
    """Since when it has been so, in seconds since the epoch."""
    failing: Mapping[Query, Failure]
    watches: int
    connections: int
