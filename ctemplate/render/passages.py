"""Only what changed is rendered again: the text that a loop's body made of a record is kept for the next pass.

A passage is that text with the answers that it followed from. It stands again where its record is equal, each of
its answers is the very same object, and the guard has nothing to say to them. Which bodies may be kept is
`repeatable`'s concern. The generated code of such a loop runs its body for the records that are `due` only, hands
each text to `keep`, and prints the `page` of them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from ctemplate.model import Answer, Instance, KeyValue, Query, ServiceName

if TYPE_CHECKING:
    from ctemplate.render.environment import CheckedEnvironment
    from ctemplate.render.services import Selection

_RECORDS = frozenset((ServiceName, KeyValue, str, int))
"""Exactly these are kept and compared: they never change, and are equal only where everything is. Trusted text is equal
to a datum of the same characters and is not checked as one; others equal across types, or raise when compared.
An instance has a dictionary, and is seldom what a loop is over."""


class Passage(msgspec.Struct):
    """What a body made of a record, and what that followed from: filled while the body runs."""

    answers: list[tuple[Query, Answer]]
    given: list[tuple[Selection, tuple[Instance, ...]]]


class Page:
    """The passages of one loop in its order.

    In columns, since thousands are looked through at each rendering: what lies together is in reach sooner. Nearly
    all are `service(s.name)`, one answer of which one list was given; where it is not so, the columns hold None.
    """

    def __init__(self, records: list[Any]) -> None:
        self.records = records
        self.texts = [""] * len(records)
        self.queries: list[Any] = [None] * len(records)
        self.answers: list[Any] = [None] * len(records)
        self.selections: list[Any] = [None] * len(records)
        self.given: list[Any] = [None] * len(records)
        self.others: dict[int, Passage | None] = dict.fromkeys(range(len(records)))
        """Place → a passage of more or fewer answers; None where there is none that may stand again."""
        self.writing = 0
        """Whose body runs."""

    def put(self, place: int, text: str, passage: Passage | None) -> None:
        """Put a text in its place; without a passage it does not stand again."""
        self.texts[place] = text
        if passage is not None and len(passage.answers) == len(passage.given) == 1:
            self.others.pop(place, None)
            ((self.queries[place], self.answers[place]),) = passage.answers
            ((self.selections[place], self.given[place]),) = passage.given
        else:
            self.queries[place] = self.answers[place] = self.selections[place] = self.given[place] = None
            self.others[place] = passage

    def gather(self, reads: dict[Any, Any], given: dict[Any, Any]) -> None:
        """Add what all the passages were made of."""
        reads.update(zip(self.queries, self.answers, strict=True))
        given.update(zip(self.selections, self.given, strict=True))
        for passage in filter(None, self.others.values()):
            reads.update(passage.answers)
            given.update(passage.given)
        reads.pop(None, None)
        given.pop(None, None)

    def over(self, records: list[Any]) -> Page:
        """Return the page for these records: each has what it had here."""
        if _all_kept(records) and _all_kept(self.records) and self.records == records:
            return self
        known = {record: place for place, record in enumerate(self.records) if type(record) in _RECORDS}
        places = [known.get(record, -1) if type(record) in _RECORDS else -1 for record in records]
        page = Page(records)
        page.texts = _picked(self.texts, places, nothing="")
        page.queries, page.answers = _picked(self.queries, places), _picked(self.answers, places)
        page.selections, page.given = _picked(self.selections, places), _picked(self.given, places)
        page.others = {
            place: self.others.get(old) for place, old in enumerate(places) if old == -1 or old in self.others
        }
        return page


def _picked(column: list[Any], places: list[int], *, nothing: object = None) -> list[Any]:
    """Return what stands at these places of a column; at -1 nothing does."""
    ended = [*column, nothing]
    return [ended[place] for place in places]


def _all_kept(records: list[Any]) -> bool:
    return _RECORDS.issuperset(map(type, records))


class Passages:
    """The passages of one template."""

    def __init__(self, environment: CheckedEnvironment) -> None:
        self._environment = environment
        self._pages: dict[int, Page] = {}
        """By the number of the loop."""

    def due(self, loop: int, iterable: Iterable[Any]) -> Iterator[Any]:
        """Yield the records of a loop whose bodies must run."""
        current, records = self._environment.current, list(iterable)
        earlier = self._pages.get(loop)
        page = self._pages[loop] = Page(records) if earlier is None else earlier.over(records)
        fallen = current.fallen(page)
        for place in fallen:
            page.put(place, "", None)
        for place in fallen:
            page.writing = place
            current.followed = Passage([], []) if type(records[place]) in _RECORDS else None
            yield records[place]

    def keep(self, loop: int, text: str) -> None:
        """Take what the body made of the record that was yielded last."""
        page, current = self._pages[loop], self._environment.current
        passage, current.followed = current.followed, None
        fits = self._environment.noted.fit()
        collects = self._environment.checker.refusals is not None  # something is refused, or lacking
        repeats = passage is not None and fits and not collects and current.would_repeat(passage)
        page.put(page.writing, text, passage if repeats else None)

    def page(self, loop: int) -> str:
        """Return all that the loop prints."""
        return "".join(self._pages[loop].texts)

    def forget(self) -> None:
        """Forget everything: the template's text is another one."""
        self._pages.clear()
