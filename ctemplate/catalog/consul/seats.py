"""Who watches and by which way: counts the watches, arranges them anew when that changes, and moves whoever must move.

It decides nothing by itself (`arranging.py`) and asks Consul nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable
from typing import TypeVar, cast

from ctemplate.catalog.consul.arranging import Arrangement, Counts, Sort, Way, arrange, folder_of, places_of, sort_of
from ctemplate.model import Query

LINGER_SECONDS = 90.0
"""How long fewer watches must last before they are moved back to connections of their own.

Watches that failed together come back one by one, up to 75 s later (the hub's longest delay).
"""

_T = TypeVar("_T")


class Seat:
    """One watch's place. `way` may change at any time; whoever waits then is woken with `Moved`."""

    __slots__ = ("_called", "_waiter", "query", "sort", "way")

    def __init__(self, query: Query, way: Way) -> None:
        self.query = query
        self.sort = sort_of(query)
        self.way = way
        self._waiter: asyncio.Task[object] | None = None
        self._called = False
        """Whether `_waiter` was cancelled by `move`."""

    async def until_moved(self, waiting: Awaitable[_T]) -> _T:
        """Return what `waiting` does. Raises `Moved`, having cancelled it, when the seat's way changes first.

        As `asyncio.timeout` does it, without a scope for each wait: ten thousand watches begin with one.
        """
        task = self._waiter = cast(asyncio.Task[object], asyncio.current_task())
        cancelling = task.cancelling()
        try:
            return await waiting
        except asyncio.CancelledError:
            if self._called and task.cancelling() == cancelling + 1:
                raise Moved from None
            raise  # somebody else wants the task to end, too
        finally:
            self._waiter = None
            if self._called:
                self._called = False
                task.uncancel()
            del task  # its end would hold it here: a cycle, and with it all that was waited for

    def move(self, way: Way, *, gently: bool) -> None:
        """Change the way, and wake whoever waits; `gently`: when what is waited for has come."""
        self.way = way
        if self._waiter is not None and not self._called and not gently:
            self._called = True
            self._waiter.cancel()


class Moved(Exception):  # no error: it tells a watch to go on by another way
    """The seat has another way now."""


class Seats:
    """All seats of one catalog."""

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._seats: set[Seat] = set()
        self._sorts: Counter[Sort] = Counter()
        self._folders: Counter[tuple[str, str]] = Counter()
        self._arrangement = arrange(Counts(), places=places_of(connections))
        self._due = False
        self._gently = False
        self._later: asyncio.TimerHandle | None = None

    @property
    def census_polls(self) -> int:
        """How many connections the census may park on."""
        return self._arrangement.census

    @property
    def watches(self) -> int:
        """How many watches there are."""
        return len(self._seats)

    def resize(self, connections: int) -> None:
        """Go on with another number of connections.

        Polls that are parked stay until they come back: Consul counts a connection for as long as its query is
        parked, also when we have closed it, so that there would be nothing to go on by.
        """
        self._connections = connections
        self._gently = True
        self._soon()

    def take(self, query: Query) -> Seat:
        """Take a seat, until it is left. Its way is settled on the event loop's next turn."""
        seat = Seat(query, self._arrangement.way(sort_of(query)))
        self._count(seat, +1)
        return seat

    def leave(self, seat: Seat) -> None:
        """Give a seat back."""
        self._count(seat, -1)

    def _count(self, seat: Seat, step: int) -> None:
        (self._seats.add if step > 0 else self._seats.discard)(seat)
        self._sorts[seat.sort] += step
        if seat.sort is Sort.KEY:
            folder = seat.query.dc, folder_of(seat.query)
            self._folders[folder] += step
            if not self._folders[folder]:
                del self._folders[folder]
        self._soon()

    def _soon(self) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._arrange)

    def _arrange(self) -> None:
        """Arrange all anew; what would only get more room waits `LINGER_SECONDS`."""
        self._due = False
        new = arrange(
            Counts(
                services=self._sorts[Sort.SERVICE],
                keys=self._sorts[Sort.KEY],
                folders=len(self._folders),
                others=self._sorts[Sort.OTHER],
            ),
            places=places_of(self._connections),
        )
        if _is_roomier(new, self._arrangement):
            if self._later is None:
                self._later = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._lingered)
            return
        self._cancel_later()
        self._apply(new)

    def _lingered(self) -> None:
        self._later = None
        self._arrangement = Arrangement(Way.OWN, Way.OWN, Way.OWN)
        self._soon()

    def _cancel_later(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _apply(self, new: Arrangement) -> None:
        self._arrangement = new
        for seat in self._seats:
            if seat.way is not (way := new.way(seat.sort)):
                seat.move(way, gently=self._gently)
        self._gently = False

    def close(self) -> None:
        """Arrange nothing any more."""
        self._cancel_later()


def _is_roomier(new: Arrangement, old: Arrangement) -> bool:
    """Whether somebody would get a connection of their own who shares one now, and nobody would lose one."""
    ways = [(new.way(sort), old.way(sort)) for sort in Sort]
    return any(n is Way.OWN is not o for n, o in ways) and not any(o is Way.OWN is not n for n, o in ways)
