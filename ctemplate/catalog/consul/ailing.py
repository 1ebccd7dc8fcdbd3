"""Holds the answers on services against what polls told of checks that do not pass. Pure: every call is told the time.

A poll is compared with its answer before. A check that turned and turned back between two of them shows in neither,
and a service that was read in that moment would keep a status that is gone:

| a disagreement, and the read was made | then |
| --- | --- |
| for a change from before the last answer of a poll | it may be the older one: read again |
| after the last answer of a poll | it is newer, and some poll will come back: read again then |
"""

from __future__ import annotations

from ctemplate.catalog.consul.dirt import instances_of
from ctemplate.catalog.consul.marks import NODE, TOLD, Ailments, Check, differing
from ctemplate.model import PASSING, Answer


class Ailing:
    """What each poll last told of checks that do not pass, and the answers that disagree with it."""

    def __init__(self) -> None:
        self._told: dict[str, Ailments] = {}
        """Path of each poll that tells of checks → the checks."""
        self._told_at = 0.0
        self._doubted: set[str] = set()

    def tell(self, path: str, ailments: Ailments, *, now: float) -> set[tuple[str, str]]:
        """Take over what a poll told at `now` (monotonic seconds); return for which nodes and services it differs."""
        before, self._told[path] = self._told.get(path, {}), ailments
        self._told_at = now
        return differing(before, ailments)

    def by_node(self, also: Ailments) -> dict[str, list[Check]]:
        """Return the checks that do not pass by node, in lower case; `also`: those of which no poll tells."""
        found: dict[str, list[Check]] = {}
        for told in (*self._told.values(), also):
            for (node, _), checks in told.items():
                found.setdefault(node, []).extend(
                    Check(check_id=id, status=status, name=name, service_id=service)
                    for id, status, name, service in checks
                )
        return found

    def take_doubted(self) -> set[str]:
        """Return the names that disagreed before a poll came back: they must be read again."""
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
        # Polls tell of the checks of a record that was left out, too, which the answer does not.
        nodes = {i.node.lower() for i in instances} - {record.node.lower() for record in answer.bad}
        ailing = [(node, i) for i in instances if i.status != PASSING and (node := i.node.lower()) in nodes]
        if {(node, c.id, c.status) for node, i in ailing for c in i.checks if c.status in TOLD} == self._known(
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
            for place in ((node, NODE), (node, name))
            for check, status, *_ in told.get(place, ())
        }
