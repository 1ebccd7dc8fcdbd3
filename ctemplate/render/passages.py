"""Only what changed is rendered again: the text that a loop's body made of a record is kept for the next pass.

A passage is that text with the answers that it followed from. It stands again where its record is equal, each of
its answers is the very same object, and the guard has nothing to say to them. Which bodies may be kept is
`repeatable`'s concern.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from ctemplate.model import Answer, Instance, KeyValue, Query, ServiceName

if TYPE_CHECKING:
    from ctemplate.render.environment import CheckedEnvironment
    from ctemplate.render.services import Selection

_RECORDS = (ServiceName, KeyValue, str, int)
"""What is compared in no time and never changes. An instance has a dictionary, and is seldom what a loop is over."""


class Followed(msgspec.Struct):
    """What a passage follows from: filled while its body runs."""

    answers: list[tuple[Query, Answer]]
    given: list[tuple[Selection, tuple[Instance, ...]]]


class Passage(msgspec.Struct):
    """What a body made of one record."""

    text: str
    followed: Followed
    number: int
    """Of the pass that used it last."""


class Passages:
    """The passages of one template. Its generated code calls `recalled` before a body and `kept` after it."""

    def __init__(self, environment: CheckedEnvironment) -> None:
        self._environment = environment
        self._loops: defaultdict[int, dict[object, Passage]] = defaultdict(dict)
        self._number = 0
        self._record: object = None

    def recalled(self, loop: int, record: object) -> str | None:
        """Return the text that stands for a record; None: the body must run."""
        current = self._environment.current
        current.followed = None
        if type(record) not in _RECORDS:
            return None
        passage = self._loops[loop].get(record)
        if passage is not None and current.follows(passage.followed):
            passage.number = self._number
            return passage.text
        self._record, current.followed = record, Followed([], [])
        return None

    def kept(self, loop: int, text: str) -> str:
        """Keep and return what the body made of the record that was asked for last."""
        current = self._environment.current
        followed, current.followed = current.followed, None
        collects = self._environment.checker.refusals is not None  # something is refused, or lacking
        if followed is not None and not collects and current.would_repeat(followed):
            self._loops[loop][self._record] = Passage(text, followed, self._number)
        return text

    def sweep(self) -> None:
        """After a pass that rendered: forget what it did not use."""
        for passages in self._loops.values():
            unused = [record for record, passage in passages.items() if passage.number != self._number]
            for record in unused:
                del passages[record]
        self._number += 1

    def forget(self) -> None:
        """Forget everything: the template's text is another one."""
        self._loops.clear()
