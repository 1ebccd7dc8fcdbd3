"""Checks of a status that Consul does not document, which it takes all the same: no sentinel tells of them.

They count as critical (`records.status_of`). Where checks are not read node by node, these are asked for by themselves.
Pure: every call is told the time, in monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Iterable

from ctemplate.catalog.consul import marks
from ctemplate.catalog.consul.dirt import instances_of
from ctemplate.model import Answer


class Untold:
    """Which such checks there are, and the answers that hold others."""

    def __init__(self) -> None:
        self.known: marks.Ailments = {}
        """As last read."""
        self._told_at = 0.0
        self._doubted: set[str] = set()

    def tell(self, checks: Iterable[marks.Check], *, now: float) -> set[tuple[str, str]]:
        """Take over what was read; return for which nodes and services it differs."""
        before, self.known = self.known, marks.of_untold(checks)
        self._told_at = now
        return marks.differing(before, self.known)

    def take_doubted(self) -> set[str]:
        """Return the names of which an answer held what was not known: it may have been the only one to see it."""
        doubted, self._doubted = self._doubted, set()
        return doubted

    def outdated(self, name: str, answer: Answer, *, since: float) -> bool:
        """Tell whether an answer with its checks must be read again at once; `since`: what it was read for."""
        found = {
            (i.node.lower(), check.id, check.status)
            for i in instances_of(answer)
            for check in i.checks
            if marks.is_untold(check.status)
        }
        if found <= {
            (node, check, status)
            for node, _, _ in found
            for place in ((node, marks.NODE), (node, name))
            for check, status, *_ in self.known.get(place, ())
        }:
            return False
        if since < self._told_at:
            return True
        self._doubted.add(name)
        return False
