"""`stale_start`: a file that is missing at start is rendered from what was last committed, while its catalog is away.

Only for a file that does not exist: one that does says what was last committed already. Answers of this run count
before those that were kept, and once everything was answered the template is like any other.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from ctemplate.engine.kept import Known
from ctemplate.events import Event, Level
from ctemplate.model import DISK, Answer, Missing, Query, Snapshot
from ctemplate.settings import Template


class RenderedStale(Event, frozen=True, kw_only=True):
    """A missing file is rendered from what was last committed."""

    level = Level.WARNING
    template: str
    written: float
    """When what is used was kept, in seconds since the epoch."""

    def text(self) -> str:
        """Which file, why, and how old its data are."""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.written))
        return (
            f"{self.template} is missing and its catalog cannot be reached: it is rendered from what was last "
            f"committed, as of {when}, until the catalog answers"
        )


class FollowsAgain(Event, frozen=True, kw_only=True):
    """A template that was rendered from old answers has all new ones."""

    template: str

    def text(self) -> str:
        """Which file."""
        return f"{self.template} follows its catalog again"


class StaleStart:
    """What was last committed of each template whose file is missing."""

    def __init__(self, answers: Mapping[str, Mapping[Query, Answer]], *, written: float) -> None:
        self._answers = dict(answers)
        self._used: set[str] = set()
        self._patient = True
        self.written = written

    @classmethod
    def of_missing(cls, templates: Iterable[Template], known: Known) -> StaleStart:
        """Return what is known of those templates whose file does not exist."""
        absent = [t.name for t in templates if t.name in known.bases and not t.destination.exists()]
        return cls({name: known.bases[name].answers for name in absent}, written=known.written)

    @property
    def names(self) -> tuple[str, ...]:
        """The templates that may still be rendered from old answers."""
        return tuple(self._answers)

    def give_up(self) -> None:
        """Wait for no failure any more: `-once` has no time left."""
        self._patient = False

    def older(self, missing: Missing, snapshot: Snapshot) -> Snapshot | None:
        """Return a snapshot that has what is missing; None where there is none, or it is too early to use it."""
        name = missing.template
        kept = self._answers.get(name)
        if kept is None or not missing.queries or any(query.catalog == DISK for query in missing.queries):
            return None
        if self._patient and name not in self._used:
            failures = [snapshot.failures.get(query) for query in missing.queries]
            if any(failure is None or failure.refused for failure in failures):
                return None
        return Snapshot({**kept, **snapshot.answers}, snapshot.failures)

    def use(self, name: str) -> bool:
        """Note that a template is rendered from old answers; tells whether for the first time."""
        first = name not in self._used
        self._used.add(name)
        return first

    def end(self, name: str) -> bool:
        """Note that a template has everything of this run; tells whether old answers were used until now."""
        self._answers.pop(name, None)
        used = name in self._used
        self._used.discard(name)
        return used
