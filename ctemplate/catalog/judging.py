"""Which catalogs can be reached: failures of queries are gathered for a moment, then judged together (`reach.py`).

Where some queries fail and the others have said nothing since, one of those is asked aloud.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from ctemplate.catalog.base import Catalog
from ctemplate.catalog.reach import Reach
from ctemplate.catalog.wanted import Wanted
from ctemplate.events import Emit
from ctemplate.model import Failure, Query

JUDGE_SECONDS = 0.5
"""How long failures are collected before they are told, so that a catalog that goes away is one line."""


class Judging:
    """The reach of each catalog, by how its watches fare."""

    def __init__(self, watches: Mapping[Query, Wanted], *, emit: Emit) -> None:
        self._watches = watches
        self._emit = emit
        self._catalogs: Mapping[str, Catalog] = {}
        self._reach: dict[str, Reach] = {}
        self._due: set[str] = set()
        self._tasks: asyncio.TaskGroup | None = None

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Judge by tasks of this group from now on."""
        self._tasks = tasks

    def end(self) -> None:
        """Judge no more."""
        self._tasks = None

    def replace(self, catalogs: Mapping[str, Catalog]) -> None:
        """Judge `catalogs` from now on; of those that stay, what is known stays."""
        self._reach = {
            name: self._reach[name]
            if self._catalogs.get(name) is catalog
            else Reach(name, now=time.time(), emit=self._emit)
            for name, catalog in catalogs.items()
        }
        self._catalogs = dict(catalogs)

    def reach(self, name: str) -> Reach:
        """Return what is known of a catalog."""
        return self._reach[name]

    def answered(self, query: Query) -> None:
        """Note that a query was answered for the first time, or again after it had failed."""
        reach = self._reach.get(query.catalog)
        if reach is None:
            return
        if reach.answered(query):
            self._wake(query.catalog)
        self._judge_soon(query.catalog)

    def failed(self, query: Query, failure: Failure) -> bool:
        """Note that a query failed; False, and nothing will be told, where no catalog is called so."""
        reach = self._reach.get(query.catalog)
        if reach is None:
            return False
        reach.failed(query, failure)
        self._judge_soon(query.catalog)
        return True

    def forget(self, query: Query) -> None:
        """Note that nobody asks for a query any more."""
        if reach := self._reach.get(query.catalog):
            reach.forget(query)
            self._judge_soon(query.catalog)

    def _wake(self, catalog: str) -> None:
        """One query of a catalog that was away is answered again: the others need not sit out their delays."""
        for watch in self._of(catalog):
            if watch.failure is not None and not watch.failure.refused:
                watch.retry_now()

    def _judge_soon(self, name: str) -> None:
        if self._tasks is not None and name not in self._due:
            self._due.add(name)
            self._tasks.create_task(self._judge(name), name=f"judge {name}")

    async def _judge(self, name: str) -> None:
        """Let failures gather, then tell what they amount to: the catalog is away, or some queries fail."""
        await asyncio.sleep(JUDGE_SECONDS)
        self._due.discard(name)
        reach, catalog = self._reach.get(name), self._catalogs.get(name)
        if reach is None or catalog is None:
            return
        since = reach.doubted_since
        heard = sum(watch.heard_after(since) for watch in self._of(name))
        if not heard and since is not None:
            heard = await self._probe(name, catalog)
        answered = [watch.answer is not None for watch in self._of(name)]
        reach.judge(
            heard=heard, answered=sum(answered), queries=len(answered), where=catalog.describe(), now=time.time()
        )

    async def _probe(self, name: str, catalog: Catalog) -> int:
        """Some queries fail and the others have said nothing since: ask one of those aloud.

        Returns how many queries of the catalog hold if it answers, else 0.
        """
        silent = [watch for watch in self._of(name) if watch.answer is not None and watch.failure is None]
        if not silent:
            return 0
        try:
            await catalog.confirm(silent[0].query)
        except Exception:  # whatever it is: it proves nothing, and the watches tell their own faults
            return 0
        return len(silent)

    def _of(self, name: str) -> list[Wanted]:
        return [watch for watch in self._watches.values() if watch.query.catalog == name]
