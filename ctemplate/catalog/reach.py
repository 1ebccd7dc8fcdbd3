"""Whether a catalog can be reached, and what is told of it: one line when it goes away, one when it is back.

When an agent stops, every query fails, but not all at one moment: some are between two reads, and where
packets are dropped each waits for its own deadline. So failures are collected and judged together a little
later: if nothing of a catalog was heard since the first of them, the catalog is away; otherwise the queries
that fail are named. This module keeps no time, holds no answers and asks nobody.
"""

from __future__ import annotations

from ctemplate.catalog.alike import common, few
from ctemplate.catalog.events import CatalogBack, CatalogLost, QueryFailed, QueryRecovered
from ctemplate.events import Emit
from ctemplate.model import Failure, Query


class Reach:
    """What is known and was told of one catalog. `now` is seconds since the epoch."""

    def __init__(self, name: str, *, now: float, emit: Emit) -> None:
        self._name = name
        self._emit = emit
        self.failing: dict[Query, Failure] = {}
        self.connected = False
        self.since = now
        """Since when it has been connected, or not."""
        self._lost = False
        self._returning = False
        self._told: dict[Query, Failure] = {}

    def failed(self, query: Query, failure: Failure) -> None:
        """Note that `query` failed, once more or for the first time."""
        self.failing[query] = failure

    def answered(self, query: Query) -> bool:
        """Note that `query` is current again; tells whether it is the first since the catalog went away."""
        self.failing.pop(query, None)
        first = self._lost and not self._returning
        self._returning = self._lost
        return first

    def forget(self, query: Query) -> None:
        """Note that nobody asks for `query` any more."""
        self.failing.pop(query, None)
        self._told.pop(query, None)

    @property
    def doubted_since(self) -> float | None:
        """Since when an answer must have come to prove that the catalog is there; None while nothing is in doubt."""
        if self._lost:
            return self.since
        return min((failure.since for failure in self.failing.values()), default=None)

    def judge(self, *, heard: int, answered: int, queries: int, where: str, now: float) -> None:
        """Tell what is new. Of the catalog's `queries` so many were `answered` ever, `heard` since `doubted_since`."""
        if self.failing and not heard:
            self._lose(answered, queries, where, now)
        elif heard:
            self._regain(heard, where, now)
        if not self._lost:
            self._tell_queries(now)

    def _lose(self, kept: int, queries: int, where: str, now: float) -> None:
        if self._lost:
            return
        self._lost = True
        self.connected, self.since = False, now
        reason = next(reversed(self.failing.values())).reason
        self._emit(CatalogLost(catalog=self._name, where=where, queries=queries, kept=kept, reason=reason))

    def _regain(self, heard: int, where: str, now: float) -> None:
        if self._lost:
            self._emit(CatalogBack(catalog=self._name, where=where, queries=heard, seconds=now - self.since))
            self._lost = self._returning = False
            self._told.clear()
        if not self.connected:
            self.connected, self.since = True, now

    def _tell_queries(self, now: float) -> None:
        new: dict[tuple[str, bool], list[Query]] = {}
        for query, failure in self.failing.items():
            told = self._told.get(query)
            if told is None or told.refused != failure.refused:
                self._told[query] = failure
                new.setdefault((common(query, failure.reason), failure.refused), []).append(query)
        for (_, refused), queries in new.items():
            for query, others in few(queries):
                reason = self.failing[query].reason
                self._emit(
                    QueryFailed(catalog=self._name, query=str(query), others=others, reason=reason, refused=refused)
                )
        back: dict[tuple[str, bool], dict[Query, float]] = {}
        for query in [query for query in self._told if query not in self.failing]:
            failure = self._told.pop(query)
            back.setdefault((common(query, failure.reason), failure.refused), {})[query] = failure.since
        for since in back.values():
            for query, others in few([*since]):
                seconds = now - (min(since.values()) if others else since[query])
                self._emit(QueryRecovered(catalog=self._name, query=str(query), others=others, seconds=seconds))
