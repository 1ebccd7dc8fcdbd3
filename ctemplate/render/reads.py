"""What one pass over a template asked for: its dependencies are found by running it.

A query without an answer gets an empty stand-in and marks the pass as missing; its output and its
exception are thrown away, and everything that was missing is reported at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ctemplate.model import DISK, Answer, Basis, Instance, Query, ServiceName, Shrink, Snapshot
from ctemplate.render.guard import NOTHING, Baseline
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
        self.reads: set[Query] = set()
        self.missing: set[Query] = set()
        """Asked and never answered."""
        self.absent: set[Query] = set()
        """Answered: there is no such key or file, and there is no default."""
        self.given: set[int] = set()
        """`id()` of the instances that were given to the template."""
        self.shrinks: dict[Selection, Shrink] = {}
        self._given: dict[Selection, tuple[Instance, ...]] = {}
        self._listed: dict[Query, tuple[ServiceName, ...]] = {}
        self._baseline = baseline
        self._answers = snapshot.answers
        self._on_lack = on_lack

    @property
    def lacking(self) -> bool:
        """Whether this pass must be thrown away."""
        return bool(self.missing or self.absent)

    def answer(self, query: Query) -> Answer | None:
        """Return the answer to a query; None, and the pass is lacking, if there is none yet."""
        self.reads.add(query)
        found = self._answers.get(query)
        if found is None:
            self.missing.add(query)
            self._on_lack()
        return found

    def guard(self, selection: Selection, found: list[Instance]) -> list[Instance]:
        """Return what the template is given of `found`, which may be more: what must not go yet."""
        given, shrink = self._baseline.hold(selection, found)
        if shrink is not None:
            self.shrinks[selection] = shrink
        self._given[selection] = tuple(given)
        return given

    def guard_listing(self, query: Query, found: list[ServiceName]) -> list[ServiceName]:
        """Return what the template is given of a listing: the services that are held stay in it."""
        given = self._baseline.hold_listing(query, found, self._answers)
        self._listed[query] = tuple(given)
        return given

    def basis(self) -> Basis:
        """Return what this pass followed from."""
        answers = {query: self._answers[query] for query in self.reads if query.catalog != DISK}
        return Basis(answers=answers, given=self._given, listed=self._listed)

    def lack(self, query: Query) -> None:
        """Note that what the query asks for does not exist, and that the template cannot go without."""
        self.absent.add(query)
        self._on_lack()


IDLE = Pass(Snapshot(answers={}), left_out=frozenset(), on_lack=lambda: None)
"""The pass of an environment that is not rendering."""
