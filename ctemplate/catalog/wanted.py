"""One query that is kept open: its last answer, its failure, and how long until it is asked again.

It asks nothing itself; the hub does.
"""

from __future__ import annotations

import asyncio
import random
import time

from ctemplate.catalog.base import Catalog
from ctemplate.errors import CatalogError, Refused
from ctemplate.model import Answer, BadRecord, Failure, Query
from ctemplate.pace import Backoff

UNAVAILABLE_SECONDS = (0.25, 60.0)
"""The first and the longest delay before a query is asked again."""
REFUSED_SECONDS = (30.0, 300.0)
"""The same where the catalog said no: nothing but a person will change that."""


class Wanted:
    """One query and how it fares. There may be ten thousand: it holds little while all is well."""

    __slots__ = (
        "answer", "backoff", "bad", "catalog", "doubted_until", "failure", "heard", "query", "retry", "task",
        "unwanted_at",
    )  # fmt: skip

    def __init__(self, query: Query) -> None:
        self.query = query
        self.catalog: Catalog | None = None
        """The one its task asks; None where no catalog has the query's name."""
        self.task: asyncio.Task[None] | None = None
        self.answer: Answer | None = None
        self.failure: Failure | None = None
        self.backoff: Backoff | None = None
        """Grows while the query fails."""
        self.retry: asyncio.Event | None = None
        """There while it waits for its next attempt; set, it waits no longer."""
        self.heard: float | None = None
        self.doubted_until = 0.0
        """Event-loop time until which an answer that says less is believed only when it is confirmed."""
        self.unwanted_at: float | None = None
        """Event-loop time since when no template has read it; None while one does."""
        self.bad: frozenset[BadRecord] = frozenset()

    def answered(self, answer: Answer) -> None:
        """Note an answer: whatever failed is over."""
        self.answer = answer
        self.failure = self.backoff = None
        self.heard = time.time()

    def failed(self, fault: CatalogError) -> Failure:
        """Note a failure, the first or one more. The answer stays."""
        refused = isinstance(fault, Refused)
        if self.failure is None or self.failure.refused != refused:
            self.backoff = Backoff(*(REFUSED_SECONDS if refused else UNAVAILABLE_SECONDS))
        since = self.failure.since if self.failure else time.time()
        self.failure = Failure(reason=str(fault), refused=refused, since=since)
        return self.failure

    def heard_after(self, since: float | None) -> bool:
        """Whether it is current, and was known to be so at or after `since`, in seconds since the epoch."""
        return self.failure is None and self.heard is not None and (since is None or self.heard >= since)

    async def pause(self) -> None:
        """Wait until the next attempt is due, or `retry` is set, which also resets the delay."""
        if self.backoff is None:
            return
        self.retry = asyncio.Event()
        try:
            async with asyncio.timeout(self.backoff.next(random=random.random())):  # noqa: S311  # jitter, no secret
                await self.retry.wait()
            self.backoff.reset()
        except TimeoutError:
            return
        finally:
            self.retry = None

    def retry_now(self) -> None:
        """End a pause."""
        if self.retry is not None:
            self.retry.set()
