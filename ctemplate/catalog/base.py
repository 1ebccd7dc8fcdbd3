"""The seam every catalog fills, and its contract. It says nothing on sockets, retries or caches.

Retry, backoff and keeping the last answer are the hub's, once; how many connections lie behind
`watch` is the catalog's secret.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from ctemplate.model import Answer, Query


class Catalog(Protocol):
    """Where answers come from."""

    def watch(self, query: Query) -> AsyncIterator[Answer]:
        """Yield the complete answer once it is known, then again after every change.

        - May skip intermediate answers and may repeat an equal one; must end up at the last.
        - Never yields because of an error, and never a partial answer: it raises `Unavailable`
          (try again with a backoff) or `Refused` (try again slowly). The caller opens it anew.
        - Ends only when it is closed (`aclose`), which frees everything it holds.
        """
        ...

    async def confirm(self, query: Query) -> Answer:
        """Read `query` once, from the most authoritative place there is: a leader, a peer.

        Raises what `watch` raises.
        """
        ...

    async def aclose(self) -> None:
        """Free every connection. Watches still open end."""
        ...

    def describe(self) -> str:
        """Where this catalog is, for logs and status: a URL without secrets."""
        ...

    def connections(self) -> int:
        """How many connections are open or being opened now, for `ctemplate status`."""
        ...


@runtime_checkable
class SharedPolls(Protocol):
    """What a catalog has besides where many watches share few polls.

    Equal answers are repeated as a sign of life; ten thousand of them a minute would be work without news.
    """

    def heard(self) -> float | None:
        """Return when all that shares polls was last known to be current: seconds since the epoch; None: never."""
        ...

    def underway(self) -> str:
        """Say how far it is with reading what many watches wait for together; nothing while it reads no such thing."""
        ...
