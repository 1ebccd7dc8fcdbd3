"""What one pass over a template asked for: its dependencies are found by running it.

A query without an answer gets an empty stand-in and marks the pass as missing; its output and its
exception are thrown away, and everything that was missing is reported at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain, compress
from operator import is_not
from types import MappingProxyType
from typing import cast

from ctemplate.model import DISK, Answer, Basis, Instance, Kind, Query, ServiceName, Shrink, Snapshot
from ctemplate.render.guard import NOTHING, Baseline
from ctemplate.render.passages import Page, Passage
from ctemplate.render.services import Selection


class Pass:
    """One rendering of one template: what it read, what it lacked, which instances it was given."""

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        left_out: frozenset[int],
        on_lack: Callable[[], None],
        baseline: Baseline = NOTHING,
        probes: Mapping[int, Instance | ServiceName] = MappingProxyType({}),
    ) -> None:
        self.snapshot = snapshot
        self.probes = probes
        """Records that this pass is given in the place of others (by `id()`), to see whose values are printed."""
        self.left_out = left_out
        """`id()` of the records that this pass goes without; the snapshot keeps them alive."""
        self.missing: set[Query] = set()
        """Asked and never answered."""
        self.absent: set[Query] = set()
        """Answered: there is no such key or file, and there is no default."""
        self.followed: Passage | None = None
        """Filled while a loop's body runs whose text may be kept (`passages`)."""
        self.shrinks: dict[Selection, Shrink] = {}
        self._reads: dict[Query, Answer | None] = {}
        self._pages: list[Page] = []
        """What is read on them is not in `_reads` and `_given` yet."""
        self._given: dict[Selection, tuple[Instance, ...]] = {}
        self._on_nodes: list[tuple[Instance, ...]] = []
        self._listed: dict[Query, tuple[ServiceName, ...]] = {}
        self._baseline = baseline
        self._committed = baseline.given
        self._answers = snapshot.answers
        self._on_lack = on_lack

    @property
    def lacking(self) -> bool:
        """Whether this pass must be thrown away."""
        return bool(self.missing or self.absent)

    @property
    def reads(self) -> Mapping[Query, Answer | None]:
        """What was asked so far, each with its answer."""
        self._gather()
        return self._reads

    @property
    def instances(self) -> int:
        """How many different instances the template was given."""
        self._gather()
        lists = [*self._given.values(), *self._on_nodes]
        asked = {selection.queries[0] for selection in self._given if len(selection.queries) == 1}
        if len(asked) == len(lists):
            return sum(map(len, lists))  # each of another answer
        return len(set(map(id, chain.from_iterable(lists))))

    def answer(self, query: Query) -> Answer | None:
        """Return the answer to a query; None, and the pass is lacking, if there is none yet."""
        found = self._reads[query] = self._answers.get(query)
        if found is None:
            self.missing.add(query)
            self._on_lack()
        elif self.followed is not None:
            self.followed.answers.append((query, found))
        return found

    def lack_checks(self) -> None:
        """Note that the template looked at the checks of instances that came without them."""
        asked = [(query, answer) for query, answer in self.reads.items() if query.kind is Kind.SERVICE and answer]
        catalogs = {query.catalog for query, answer in asked if _without_checks(answer)}
        if not catalogs:  # all came with their checks: the one that was looked at is held since before they did
            catalogs = {query.catalog for selection in self.shrinks for query in selection.queries}
        for catalog in catalogs:
            self.answer(Query(catalog=catalog, kind=Kind.CHECKS))

    def fallen(self, page: Page) -> list[int]:
        """Return the places where something else would be made now, or nothing is; what the others read is read."""
        places, committed, given = range(len(page.records)), self._committed, page.given
        answered = map(self._answers.get, page.queries)
        fallen = {*compress(places, map(is_not, answered, page.answers))}
        # The guard looks again at what was committed otherwise.
        fallen.update(compress(places, map(is_not, map(committed.get, page.selections, given), given)))
        fallen.update(place for place, passage in page.others.items() if passage is None or not self._stands(passage))
        if self.left_out:
            fallen.update(place for place, found in enumerate(given) if found and _any_of(found, self.left_out))
        self._pages.append(page)
        return sorted(fallen)

    def _stands(self, passage: Passage) -> bool:
        return all(self._answers.get(query) is answer for query, answer in passage.answers) and all(
            self._committed.get(selection, given) is given and not _any_of(given, self.left_out)
            for selection, given in passage.given
        )

    def would_repeat(self, made: Passage) -> bool:
        """Whether the next pass would make the same of the same answers: nothing of it is held or left out."""
        if not self.shrinks and not self.left_out:
            return True
        if any(selection in self.shrinks for selection, _ in made.given):
            return False
        lists = [answer.value for _, answer in made.answers if isinstance(answer.value, tuple)]
        return not _any_of(chain.from_iterable(lists), self.left_out)

    def _gather(self) -> None:
        for page in self._pages:
            page.gather(self._reads, self._given)
        self._pages.clear()

    def guard(self, selection: Selection, found: list[Instance]) -> list[Instance]:
        """Return what the template is given of `found`, which may be more: what must not go yet."""
        given, shrink = self._baseline.hold(selection, found)
        if shrink is not None:
            self.shrinks[selection] = shrink
        taken = self._whole(selection, tuple(given))
        self._given[selection] = taken
        if self.followed is not None:
            self.followed.given.append((selection, taken))
        return given

    def _whole(self, selection: Selection, given: tuple[Instance, ...]) -> tuple[Instance, ...]:
        """Return the answer's own tuple where the template is given all of it: it is there already."""
        answer = self._answers.get(selection.queries[0])
        whole = answer.value if answer is not None else None
        return cast(tuple[Instance, ...], whole) if whole == given else given

    def give_node(self, instances: tuple[Instance, ...]) -> None:
        """Note that the template was given the instances of a node."""
        self._on_nodes.append(instances)

    def guard_listing(self, query: Query, found: list[ServiceName]) -> list[ServiceName]:
        """Return what the template is given of a listing: the services that are held stay in it."""
        given = self._baseline.hold_listing(query, found, self._answers)
        self._listed[query] = tuple(given)
        return given

    def basis(self) -> Basis:
        """Return what this pass followed from."""
        answers = {
            query: answer for query, answer in self.reads.items() if answer is not None and query.catalog != DISK
        }
        return Basis(answers=answers, given=self._given, listed=self._listed)

    def lack(self, query: Query) -> None:
        """Note that what the query asks for does not exist, and that the template cannot go without."""
        self.absent.add(query)
        self._on_lack()


def _without_checks(answer: Answer) -> bool:
    instances = cast(tuple[Instance, ...], answer.value)
    return any(instance.all_checks is None for instance in instances)


def _any_of(records: Iterable[object], ids: frozenset[int]) -> bool:
    return bool(ids) and not ids.isdisjoint(map(id, records))


IDLE = Pass(Snapshot(answers={}), left_out=frozenset(), on_lack=lambda: None)
"""The pass of an environment that is not rendering."""
