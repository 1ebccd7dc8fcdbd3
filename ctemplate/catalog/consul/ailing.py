"""Holds the answers on services against what polls told of checks that do not pass. Pure: every call is told the time.

A poll is compared with its answer before. A check that turned and turned back between two of them shows in neither,
and a service that was read in that moment would keep a status that is gone:

| a disagreement, and the read was made | then |
| --- | --- |
| for a change from before the last answer of a poll | it may be the older one: read again |
| after the last answer of a poll | it is newer, and some poll will come back: read again then |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ctemplate.catalog.consul.marks import NODE, Ailments
from ctemplate.model import CRITICAL, WARNING, Answer, Instance


class Ailing:
    """What each poll last told of checks that do not pass, and the answers that disagree with it."""

    def __init__(self) -> None:
        self._told: dict[str, Ailments] = {}
        """Path of each poll that tells of checks → the checks."""
        self._told_at = 0.0
        self._doubted: set[str] = set()

    def tell(self, path: str, ailments: Ailments, *, now: float) -> set[str]:
        """Take over what a poll told at `now` (monotonic seconds); return the names that must be read again."""
        self._told[path] = ailments
        self._told_at = now
        doubted, self._doubted = self._doubted, set()
        return doubted

    def forget(self, path: str) -> None:
        """Note that a poll has ended."""
        self._told.pop(path, None)

    def outdated(self, name: str, answer: Answer, *, since: float) -> bool:
        """Tell whether the answer on a service must be read again at once; `since`: what it was read for."""
        if all(self._ailments(node, name) == seen for node, seen in _seen(answer).items()):
            return False
        if since < self._told_at:
            return True
        self._doubted.add(name)
        return False

    def _ailments(self, node: str, name: str) -> set[tuple[str, str]]:
        found: set[tuple[str, str]] = set()
        for told in self._told.values():
            for key in ((node, NODE), (node, name)):
                found.update((check, status) for check, status, *_ in told.get(key, ()))
        return found


def _seen(answer: Answer) -> Mapping[str, set[tuple[str, str]]]:
    """By node: the checks that do not pass, each by its id and status."""
    seen: dict[str, set[tuple[str, str]]] = {}
    instances: Iterable[object] = answer.value if isinstance(answer.value, tuple) else ()
    for instance in instances:
        if isinstance(instance, Instance):
            ill = seen.setdefault(instance.node, set())
            ill.update((check.id, check.status) for check in instance.checks if check.status in (CRITICAL, WARNING))
    return seen
