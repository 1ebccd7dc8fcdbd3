"""The one place where questions are kept open: a task a query, retry, backoff and the last answer.

Whatever happens to a catalog, the last answer stays until a newer one replaces it; "not known yet" is a
missing key and never an empty answer. The hub renders nothing, and what lies behind a catalog is none of
its business.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from collections.abc import Set as AbstractSet
from operator import attrgetter
from pathlib import Path

from ctemplate.catalog.base import Catalog, SharedPolls
from ctemplate.catalog.doubt import DOUBT_SECONDS, says_less
from ctemplate.catalog.events import InstanceLeftOut, QueryFailed
from ctemplate.catalog.hearing import Hearing
from ctemplate.catalog.judging import Judging
from ctemplate.catalog.news import CatalogReport, Update
from ctemplate.catalog.wanted import Wanted
from ctemplate.errors import CatalogError, Refused, Unavailable
from ctemplate.events import Emit, Warned
from ctemplate.model import DISK, Answer, Failure, Query, Snapshot

BURST_TURNS = 8
"""The most turns of the event loop for which `next` waits for more of a burst; each is microseconds."""


class Hub:
    """Keeps every wanted query open and tells what is new. Used from one event loop, by one consumer."""

    def __init__(self, catalogs: Mapping[str, Catalog], *, emit: Emit, linger: float = 10.0) -> None:
        self._emit = emit
        self._linger = linger
        self._wanted: AbstractSet[Query] = frozenset()
        self._watches: dict[Query, Wanted] = {}
        self._count: Counter[Catalog | None] = Counter()
        """Catalog → how many watches ask it: ten thousand are not counted again for each status."""
        self._judging = Judging(self._watches, emit=emit)
        self._catalogs: dict[str, Catalog] = {}
        self._retired: list[Catalog] = []
        self._answers: dict[Query, Answer] = {}
        self._failures: dict[Query, Failure] = {}
        self._known: Snapshot | None = None
        """The snapshot as last made; None when something in it is no longer so."""
        self._changed: set[Query] = set()
        self._news = asyncio.Event()
        self._rearrange = asyncio.Event()
        self.replace(catalogs)

    def want(self, queries: AbstractSet[Query]) -> None:
        """Ask for exactly `queries` from now on.

        New ones start at once. Those no longer among them are dropped after `linger` seconds, so that a
        template that flips back finds its answer.
        """
        if queries == self._wanted:
            return
        self._wanted = frozenset(queries)
        now = asyncio.get_running_loop().time()
        for query in queries - self._watches.keys():
            self._watches[query] = Wanted(query)
        for query, watch in self._watches.items():
            if query in queries:
                watch.unwanted_at = None
            elif watch.unwanted_at is None:
                watch.unwanted_at = now
        self._rearrange.set()

    async def run(self) -> None:
        """Keep the wanted queries open, for ever. Cancelled, it ends every watch and closes every catalog."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._judging.begin(tasks)
                while True:
                    self._rearrange.clear()
                    await self._arrange(tasks)
                    try:
                        async with asyncio.timeout_at(self._next_drop()):
                            await self._rearrange.wait()
                    except TimeoutError:
                        continue
        finally:
            self._judging.end()
            for watch in self._watches.values():
                watch.task = None  # with its generators, which asyncio would close one by one at the end
            for catalog in (*self._catalogs.values(), *self._retired):
                await self._close(catalog)

    @property
    def snapshot(self) -> Snapshot:
        """What is known at this moment."""
        if self._known is None:
            self._known = Snapshot(answers=self._answers.copy(), failures=self._failures.copy())
        return self._known

    async def next(self) -> Update:
        """Wait for news and return everything that is known: different answers, failures that began or ended.

        What arrives in one burst is one update, and of several answers to one query only the last is seen.
        """
        await self._news.wait()
        for _ in range(BURST_TURNS):
            before = len(self._changed)
            await asyncio.sleep(0)
            if len(self._changed) == before:
                break
        self._news.clear()
        changed, self._changed = frozenset(self._changed), set()
        return Update(self.snapshot, changed)

    async def confirm(self, query: Query) -> Answer:
        """Read `query` once from the most authoritative place its catalog has. Raises `CatalogError`."""
        catalog = self._catalogs.get(query.catalog)
        if catalog is None:
            raise Refused(f"no catalog is called {query.catalog!r}")
        return await catalog.confirm(query)

    def retry_now(self) -> None:
        """Ask failing queries again at once, each from its shortest delay."""
        for watch in self._watches.values():
            watch.retry_now()

    def replace(self, catalogs: Mapping[str, Catalog]) -> None:
        """Ask `catalogs` from now on; those that are no longer among them are closed. Answers are kept."""
        self._retired += [old for old in self._catalogs.values() if not any(old is new for new in catalogs.values())]
        self._judging.replace(catalogs)
        self._catalogs = dict(catalogs)
        self._sharing = _sharing(catalogs)
        self._rearrange.set()

    def reports(self) -> tuple[CatalogReport, ...]:
        """Return how each catalog is, sorted by name."""
        return tuple(
            CatalogReport(
                name=name,
                where=catalog.describe(),
                connected=reach.connected,
                since=reach.since,
                failing=dict(reach.failing),
                watches=self._count[catalog],
                connections=catalog.connections(),
            )
            for name, catalog in sorted(self._catalogs.items())
            for reach in [self._judging.reach(name)]
        )

    def underway(self) -> str:
        """Say how far catalogs are with what many queries wait for together; nothing where there is no such thing."""
        return "; ".join(filter(None, (catalog.underway() for catalog in self._sharing.values())))

    def hearing(self) -> Hearing:
        """Return what tells how old answers are."""
        settled = not self._rearrange.is_set() and not self._retired  # or a watch may be one of a catalog that is gone
        all_share = settled and not self._failures and self._catalogs.keys() - {DISK} <= self._sharing.keys()
        return Hearing(self._watches, self._sharing, all_share=all_share)

    def _next_drop(self) -> float | None:
        since = [watch.unwanted_at for watch in self._watches.values() if watch.unwanted_at is not None]
        return min(since) + self._linger if since else None

    async def _arrange(self, group: asyncio.TaskGroup) -> None:
        """Make the tasks agree with what is wanted and with the catalogs there are."""
        now = asyncio.get_running_loop().time()
        for watch in list(self._watches.values()):
            if watch.unwanted_at is not None and now >= watch.unwanted_at + self._linger:
                self._drop(watch)
                continue
            catalog = self._catalogs.get(watch.query.catalog)
            if watch.task is not None and watch.catalog is not catalog:
                watch.task.cancel()
                watch.task = None
            if watch.task is None:
                watch.catalog = catalog
                watch.task = group.create_task(self._follow(watch), name=f"watch {watch.query}")
        self._count = Counter(map(attrgetter("catalog"), self._watches.values()))
        while self._retired:
            await self._close(self._retired.pop())

    def _drop(self, watch: Wanted) -> None:
        del self._watches[watch.query]
        self._answers.pop(watch.query, None)
        self._failures.pop(watch.query, None)
        self._known = None
        self._changed.discard(watch.query)
        if watch.task is not None:
            watch.task.cancel()
        self._judging.forget(watch.query)

    async def _follow(self, watch: Wanted) -> None:
        """Ask one query until it is dropped, whatever its catalog does."""
        while True:
            try:
                await self._listen(watch)
            except CatalogError as fault:
                self._note_failure(watch, fault)
            except Exception as fault:  # a fault in one catalog must not end the others
                self._note_failure(watch, Unavailable(f"a fault in ctemplate itself: {_where(fault)}"))
            await watch.pause()

    async def _listen(self, watch: Wanted) -> None:
        """Take one watch's answers for as long as it lasts."""
        if watch.catalog is None:
            known = ", ".join(sorted(self._catalogs.keys() - {DISK})) or "none"
            raise Refused(f"no catalog is called {watch.query.catalog!r}; configured: {known}")
        answers = watch.catalog.watch(watch.query)
        try:
            async for answer in answers:
                self._note_answer(watch, await self._believed(watch, answer))
        finally:
            if isinstance(answers, AsyncGenerator):
                await answers.aclose()
        raise Unavailable("the catalog ended the watch by itself")

    async def _believed(self, watch: Wanted, answer: Answer) -> Answer:
        """Return `answer`, or the leader's, where this one may be that of a server which has just started."""
        now = asyncio.get_running_loop().time()
        if watch.failure is not None:
            watch.doubted_until = now + DOUBT_SECONDS
        if watch.answer is None or now >= watch.doubted_until or not says_less(answer, watch.answer):
            return answer
        return await self.confirm(watch.query)

    def _note_answer(self, watch: Wanted, answer: Answer) -> None:
        first, recovered = watch.answer is None, watch.failure is not None
        different = answer is not watch.answer and answer != watch.answer  # the first test spares the second
        watch.answered(answer)
        if different:
            self._answers[watch.query] = answer
        if recovered:
            self._failures.pop(watch.query, None)
        if different:
            self._tell_bad(watch, answer)
        if different or recovered:
            self._known = None
            self._tell(watch.query)
        if first or recovered:
            self._judging.answered(watch.query)

    def _note_failure(self, watch: Wanted, fault: CatalogError) -> None:
        began = watch.failure is None
        failure = self._failures[watch.query] = watch.failed(fault)
        self._known = None
        if began:
            self._tell(watch.query)
        if not self._judging.failed(watch.query, failure) and began:
            name, query = watch.query.catalog, str(watch.query)
            self._emit(QueryFailed(catalog=name, query=query, reason=failure.reason, refused=failure.refused))

    def _tell(self, query: Query) -> None:
        self._changed.add(query)
        self._news.set()

    def _tell_bad(self, watch: Wanted, answer: Answer) -> None:
        """Name each record that was left out, once for as long as it stays so."""
        for bad in answer.bad:
            if bad not in watch.bad:
                self._emit(
                    InstanceLeftOut(query=str(watch.query), name=bad.name, node=bad.node, id=bad.id, reason=bad.reason)
                )
        watch.bad = frozenset(answer.bad)

    async def _close(self, catalog: Catalog) -> None:
        try:
            await catalog.aclose()
        except Exception as fault:  # it is on its way out: nothing else may suffer
            self._emit(Warned(message=f"{catalog.describe()} could not be closed: {_where(fault)}"))


def _sharing(catalogs: Mapping[str, Catalog]) -> dict[str, SharedPolls]:
    return {name: catalog for name, catalog in catalogs.items() if isinstance(catalog, SharedPolls)}


def _where(fault: Exception) -> str:
    """Name a fault by its class and place: its words might hold a value."""
    frames = [*traceback.walk_tb(fault.__traceback__)]
    place = f" at {Path(frames[-1][0].f_code.co_filename).name}:{frames[-1][1]}" if frames else ""
    return type(fault).__name__ + place
