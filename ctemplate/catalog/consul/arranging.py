"""Which watch gets a connection of its own and which shares, given how many there are. Pure arithmetic.

A parked poll holds a connection for as long as nothing changes, and an agent allows 200 from one address,
for everyone on the host together. From best to last resort, what fits is taken:

| way | what it costs | what it is |
| --- | --- | --- |
| OWN | a connection a watch | a poll parked on exactly this question |
| FOLDER | one a top folder | a `?recurse` poll on the folder that a key is in |
| CENSUS | 5, or two a node | all services together (`census.py`) |
| TURNS | the few that are never parked on | read again every second or slower |
"""

from __future__ import annotations

import enum

import msgspec

from ctemplate.model import Kind, Query

SENTINELS = 5
"""The fewest connections by which every change of any number of services is noticed (`sentinels.py`)."""


class Way(enum.Enum):
    """How one watch is kept current."""

    OWN = enum.auto()
    FOLDER = enum.auto()
    CENSUS = enum.auto()
    TURNS = enum.auto()


class Sort(enum.Enum):
    """What a query can share with others."""

    SERVICE = enum.auto()
    KEY = enum.auto()
    OTHER = enum.auto()


class Counts(msgspec.Struct, frozen=True):
    """How many watches there are of each sort, and in how many top folders the keys are."""

    services: int = 0
    keys: int = 0
    folders: int = 0
    others: int = 0


class Arrangement(msgspec.Struct, frozen=True):
    """The way of each sort, and how many connections the census may park on."""

    services: Way
    keys: Way
    others: Way
    census: int = 0

    def way(self, sort: Sort) -> Way:
        """Return the way of one sort."""
        match sort:
            case Sort.SERVICE:
                return self.services
            case Sort.KEY:
                return self.keys
            case Sort.OTHER:
                return self.others


def sort_of(query: Query) -> Sort:
    """Return what `query` can share: the census asks for no other datacenter, no filter and no order by distance."""
    if query.kind is Kind.SERVICE and not (query.dc or query.near or query.filter):
        return Sort.SERVICE
    if query.kind in (Kind.KEY, Kind.KEYS) and folder_of(query):
        return Sort.KEY
    return Sort.OTHER


def folder_of(query: Query) -> str:
    """Return the top folder that a key or prefix is in, with its slash; "" for one that is in none."""
    path = query.name.strip("/") + ("/" if query.kind is Kind.KEYS else "")
    top, slash, _ = path.partition("/")
    return top + slash if slash and top else ""


def places_of(connections: int) -> int:
    """Return how many of `connections` may be parked on.

    One in eight, four at most, is never parked on, so that a new query, or one that takes turns, never
    waits for news of another.
    """
    return connections - max(1, min(4, connections // 8))


def arrange(counts: Counts, *, places: int) -> Arrangement:
    """Return the best arrangement that parks on at most `places` connections."""
    census = min(counts.services, SENTINELS)
    for services, services_cost in ((Way.OWN, counts.services), (Way.CENSUS, census)):
        for keys, keys_cost in ((Way.OWN, counts.keys), (Way.FOLDER, counts.folders)):
            free = places - keys_cost - counts.others
            if services_cost <= free:
                return Arrangement(services, keys, Way.OWN, free if services is Way.CENSUS else 0)
    # What cannot share takes turns; what can may still be noticed at once.
    if counts.services > SENTINELS and places >= SENTINELS:
        fits = counts.folders <= places - SENTINELS
        keys = Way.FOLDER if fits else Way.TURNS
        return Arrangement(Way.CENSUS, keys, Way.TURNS, places - (counts.folders if fits else 0))
    fits = counts.folders <= places
    return Arrangement(Way.TURNS, Way.FOLDER if fits else Way.TURNS, Way.TURNS)
