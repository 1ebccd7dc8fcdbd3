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
    text: str = ""


class _Page:
    """The passages of one loop in its order; None is one that may not be kept."""

    def __init__(self, records: list[Any], passages: list[Passage | None]) -> None:
        self.records = records
        self.passages = passages
        self.texts = [passage.text if passage is not None else "" for passage in passages]
        self.writing = 0
        """Whose body runs."""


class Passages:
    """The passages of one template."""

    def __init__(self, environment: CheckedEnvironment) -> None:
        self._environment = environment
        self._pages: dict[int, _Page] = {}
        """By the number of the loop."""

    def due(self, loop: int, iterable: Iterable[Any]) -> Iterator[Any]:
        """Yield the records of a loop whose bodies must run."""
        current, records = self._environment.current, list(iterable)
        page = _Page(records, self._earlier(loop, records))
        fallen = current.fallen(page.passages)
        self._pages[loop] = page
        for place in fallen:
            page.writing = place
            current.followed = Passage([], []) if type(records[place]) in _RECORDS else None
            yield records[place]

    def keep(self, loop: int, text: str) -> None:
        """Take what the body made of the record that was yielded last."""
        page, current = self._pages[loop], self._environment.current
        passage, current.followed = current.followed, None
        page.texts[page.writing] = text
        collects = self._environment.checker.refusals is not None  # something is refused, or lacking
        if passage is not None and not collects and current.would_repeat(passage):
            passage.text = text
            page.passages[page.writing] = passage

    def page(self, loop: int) -> str:
        """Return all that the loop prints."""
        return "".join(self._pages[loop].texts)

    def forget(self) -> None:
        """Forget everything: the template's text is another one."""
        self._pages.clear()

    def _earlier(self, loop: int, records: list[Any]) -> list[Passage | None]:
        """Return the passage that each of these records had in the last pass."""
        page = self._pages.get(loop)
        if page is None:
            return [None] * len(records)
        types = list(map(type, records))
        if _RECORDS.issuperset(types) and types == list(map(type, page.records)) and page.records == records:
            return page.passages.copy()
        known = {
            record: passage
            for record, passage in zip(page.records, page.passages, strict=True)
            if type(record) in _RECORDS
        }
        return [known.get(record) if type(record) in _RECORDS else None for record in records]
