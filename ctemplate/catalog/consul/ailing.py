"""Holds the answers on services against what was told of checks that do not pass. Pure: every call is told the time.

What tells of them, a poll or a read now and then, is compared with what it told before. A check that turned and turned
back between two of these shows in neither, and a service that was read in that moment would keep a status that is gone:

| a disagreement, and the read was made | then |
| --- | --- |
| for a change from before checks were last told of | it may be the older one: read again |
| after that | it is newer: read again when checks are told of next |

Compared are the checks of an answer's instances and of their nodes. A record that was left out of the answer has none
there; and of one that is not in it nothing is said either way, since other polls tell which instances there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ctemplate.catalog.consul import marks
from ctemplate.catalog.consul.dirt import instances_of
from ctemplate.model import PASSING, Answer, Instance

_NONE: frozenset[marks.Check] = frozenset()


class Ailing:
    """What was last told of checks of some statuses, and the answers that disagree with it."""

    def __init__(self, counts: Callable[[str], bool]) -> None:
        """`counts` says which statuses those are; checks of others are passed over."""
        self._counts = counts
        self._told: dict[str, marks.Ailments] = {}
        """Path of whatever tells of checks → the checks."""
        self._told_at = 0.0
        self._doubted: set[str] = set()

    def tell(self, path: str, checks: Iterable[marks.Check], *, now: float) -> set[marks.Check]:
        """Take over what was told at `now` (monotonic seconds); return the checks that came, went or are others."""
        before = self._told.get(path, {})
        after = marks.by_node(check for check in checks if self._counts(check.status))
        self._told[path], self._told_at = after, now
        nodes = marks.differing(before, after)
        return {check for node in nodes for check in before.get(node, _NONE) ^ after.get(node, _NONE)}

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
        seen = {
            (i.node.lower(), check.id, check.status)
            for i in instances
            if i.status != PASSING
            for check in i.checks
            if self._counts(check.status)
        }
        if seen == self._known(instances):
            return False
        if since < self._told_at:
            return True
        self._doubted.add(name)
        return False

    def _known(self, instances: Iterable[Instance]) -> set[tuple[str, str, str]]:
        ids: dict[str, set[str]] = {}
        for instance in instances:
            ids.setdefault(instance.node.lower(), {""}).add(instance.id.lower())
        return {
            (node, check.check_id, check.status)
            for told in filter(None, self._told.values())
            for node, there in ids.items()
            for check in told.get(node, ())
            if check.service_id.lower() in there
        }

    @property
    def checks(self) -> set[marks.Check]:
        """All checks that were told of last."""
        return {check for told in self._told.values() for checks in told.values() for check in checks}
