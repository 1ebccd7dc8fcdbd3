"""Holds the answers on services against what was told of checks that do not pass. Pure: every call is told the time.

What tells of them, a poll or a read now and then, is compared with what it told before. A check that turned and turned
back between two of these shows in neither, and a service that was read in that moment would keep a status that is gone:

| a disagreement, and the read was made | then |
| --- | --- |
| for a change from before checks were last told of | it may be the older one: read again |
| after that | it is newer, and they will be told of: read again then |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ctemplate.catalog.consul import marks
from ctemplate.catalog.consul.dirt import instances_of
from ctemplate.model import PASSING, Answer


class Ailing:
    """What was last told of checks of some statuses, and the answers that disagree with it."""

    def __init__(self, counts: Callable[[str], bool]) -> None:
        """`counts` says which statuses those are; checks of others are passed over."""
        self._counts = counts
        self._told: dict[str, marks.Ailments] = {}
        """Path of whatever tells of checks → the checks."""
        self._told_at = 0.0
        self._doubted: set[str] = set()

    def tell(self, path: str, checks: Iterable[marks.Check], *, now: float) -> set[tuple[str, str]]:
        """Take over what was told at `now` (monotonic seconds); return for which nodes and services it differs."""
        before, self._told[path] = self._told.get(path, {}), marks.by_place(checks, counts=self._counts)
        self._told_at = now
        return marks.differing(before, self._told[path])

    def take_doubted(self) -> set[str]:
        """Return the names that disagreed before checks were told of again: they must be read again."""
        doubted, self._doubted = self._doubted, set()
        return doubted

    def forget(self, path: str) -> None:
        """Note that a poll has ended."""
        self._told.pop(path, None)

    def outdated(self, name: str, answer: Answer, *, since: float) -> bool:
        """Tell whether the answer on a service must be read again at once; `since`: what it was read for."""
        instances = instances_of(answer)
        if not any(self._told.values()) and all(i.status == PASSING for i in instances):
            return False  # nobody is ill, and nobody was told to be
        # The checks of a record that was left out are told of, too; the answer does not have them.
        nodes = {i.node.lower() for i in instances} - {record.node.lower() for record in answer.bad}
        ailing = [(node, i) for i in instances if i.status != PASSING and (node := i.node.lower()) in nodes]
        if {(node, c.id, c.status) for node, i in ailing for c in i.checks if self._counts(c.status)} == self._known(
            name, nodes
        ):
            return False
        if since < self._told_at:
            return True
        self._doubted.add(name)
        return False

    def _known(self, name: str, nodes: set[str]) -> set[tuple[str, str, str]]:
        return {
            (node, check, status)
            for told in self._told.values()
            if told
            for node in nodes
            for place in ((node, marks.NODE), (node, name))
            for check, status, *_ in told.get(place, ())
        }

    def by_node(self, also: Ailing) -> dict[str, list[marks.Check]]:
        """Return the checks of these statuses, and of those of another, by node in lower case."""
        found: dict[str, list[marks.Check]] = {}
        for told in (*self._told.values(), *also._told.values()):
            for (node, _), checks in told.items():
                found.setdefault(node, []).extend(
                    marks.Check(check_id=id, status=status, name=name, service_id=service)
                    for id, status, name, service in checks
                )
        return found
