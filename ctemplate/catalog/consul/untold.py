"""Checks of a status that Consul does not document, which it takes all the same: no sentinel tells of them. Pure.

They count as critical (`records.status_of`). Where checks are not read node by node, they are asked for by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable

from ctemplate.catalog.consul import marks
from ctemplate.catalog.consul.dirt import instances_of
from ctemplate.model import Answer


class Untold:
    """Which such checks there are, as last read, and which answers hold some."""

    def __init__(self) -> None:
        self.known: marks.Ailments = {}
        self._held: set[str] = set()

    def note(self, name: str, answer: Answer) -> None:
        """Note an answer with its checks. One that holds such a check may be the only one that ever saw it."""
        if any(marks.is_untold(check.status) for i in instances_of(answer) for check in i.checks):
            self._held.add(name)

    def tell(self, checks: Iterable[marks.Check]) -> tuple[set[tuple[str, str]], set[str]]:
        """Take over what was read; return for which nodes and services it differs, and which answers held some."""
        before, self.known = self.known, marks.of_untold(checks)
        held, self._held = self._held, set()
        return marks.differing(before, self.known), held
