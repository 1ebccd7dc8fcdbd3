"""What may have changed since it was last read, and so must be read again. Pure: every call is told the time.

The rules, each with what goes wrong without it:

| rule | otherwise |
| --- | --- |
| what is taken in hand and marked again meanwhile is read again | the answer under way may be older than the mark |
| an answer that was asked for before its node was marked is read again | it holds the node's checks as they were |
| the latest mark of a name counts | an answer newer than the first mark only is taken for new |

`now`, `since` and `sent` are in seconds of one monotonic clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ctemplate.model import Answer, Instance

NODE_SECONDS = 120.0
"""How long a mark of a node is kept: longer than any read takes."""


class Dirt:
    """Names that must be read, and whether there are changes of which only "something, somewhere" is known."""

    def __init__(self) -> None:
        self._names: dict[str, float] = {}
        """Name → when it was last marked; the last marked stands last."""
        self._nodes: dict[str, float] = {}
        self._names_since = self._names_in_hand_since = math.inf
        self._services_since = self._services_in_hand_since = math.inf
        self.services: float | None = None
        """Since when an instance, somewhere, may differ; None: all are known."""
        self.checks: float | None = None
        """Since when a check, somewhere, may differ in what no sentinel tells: not in a status that is documented."""
        self.stirred = 0.0
        """When anything was last marked."""

    def __contains__(self, name: str) -> bool:
        return name in self._names

    @property
    def names(self) -> bool:
        """Whether there are names to read."""
        return bool(self._names)

    @property
    def since(self) -> float:
        """When the first change was told that is not read yet; infinite: all are. `checks` count not."""
        return min(self._names_since, self._names_in_hand_since, self._services_since, self._services_in_hand_since)

    def mark(self, names: Iterable[str], *, now: float) -> None:
        """Note that these services changed, or may have."""
        for name in names:
            self._names_since = min(self._names_since, now)
            self._names.pop(name, None)
            self._names[name] = now
            self.stirred = now

    def mark_node(self, node: str, *, now: float) -> None:
        """Note that a node's (in lower case) own fields or checks changed. The caller marks the services there."""
        self._nodes = {old: at for old, at in self._nodes.items() if at > now - NODE_SECONDS}
        self._nodes[node] = self.stirred = now

    def mark_services(self, *, now: float) -> None:
        """Note that some instance, somewhere, was registered, changed or removed."""
        self.services = self.stirred = now
        self._services_since = min(self._services_since, now)

    def mark_checks(self, *, now: float) -> None:
        """Note that some check, somewhere, was written."""
        self.checks = self.stirred = now

    def take_services(self) -> float | None:
        """Take in hand to find which services changed, until `found`; since when some may have, or None."""
        taken, self.services = self.services, None
        self._services_in_hand_since, self._services_since = self._services_since, math.inf
        return taken

    def found(self) -> None:
        """Note that the services of which only "somewhere" was known are found, and marked."""
        self._services_in_hand_since = math.inf

    def take_checks(self, *, now: float) -> float | None:
        """Take in hand to find which checks were written; since when some may have been, or None."""
        taken, self.checks = self.checks, None
        if taken is not None:
            self.stirred = now  # what is found from now on was heard of
        return taken

    def take(self) -> dict[str, float]:
        """Take every name in hand, until `read`, the most recently marked first, each with when it was marked."""
        taken, self._names = dict(reversed(self._names.items())), {}
        self._names_in_hand_since, self._names_since = self._names_since, math.inf
        return taken

    def read(self) -> None:
        """Note that all names that were in hand are read."""
        self._names_in_hand_since = math.inf

    def settle(self, name: str, answer: Answer, *, sent: float, now: float) -> None:
        """Note an answer that was asked for at `sent`; the name is marked again if a node in it was marked since."""
        if not self._nodes:
            return
        if any(self._nodes.get(node, -1.0) >= sent for node in nodes_of(answer)):
            self.mark((name,), now=now)


def instances_of(answer: Answer) -> list[Instance]:
    """Return the instances of an answer on a service."""
    records = answer.value if isinstance(answer.value, tuple) else ()
    return [record for record in records if isinstance(record, Instance)]


def nodes_of(answer: Answer) -> set[str]:
    """Return the nodes, in lower case, that the records of a service are on, those that were left out included."""
    return {i.node.lower() for i in instances_of(answer)} | {record.node.lower() for record in answer.bad}
