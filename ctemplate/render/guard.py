"""What a template keeps of a service although its catalog says less: the guard against answers that lose too much.

What `service()` is about to return is held against what it returned in the last commit, instance by instance
(node and id), so that a slow drain is as visible as a sudden one, and a count that stays the same hides nothing:

| lost since the last commit | the template is given |
| --- | --- |
| nothing, however few there are | what was found |
| at most max(1, ⌊max_removed × before⌋), and at least min_instances are left | what was found |
| more, or fewer are left | what was found, and beside it those that were lost: a `Shrink` that is held |
| the same, with `on_violation = "warn"` | what was found, and a `Shrink` that is only told |

What is held stays so until everything is back, or as many others are there: instances that return one by one would
otherwise be cut in half as soon as the other half is within the limits. An instance that came back at the same
address and port under another id is not lost. A service that was committed and disappears from a listing stays in it
until `service()` returns nothing for it. What was never committed has no baseline.

Pure: how long a shrink lasts, and who releases it, is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import cast

from ctemplate.model import Answer, Basis, Identity, Instance, Query, ServiceName, Shrink
from ctemplate.render.services import Selection
from ctemplate.settings import Guard

ROUNDING = 1e-9
"""0.29 × 100 is 28.999999999999996 to the machine."""


def identity(instance: Instance) -> Identity:
    """Return by what an instance is the same one."""
    return instance.node, instance.id


def taken(selection: Selection, answers: Iterable[Answer]) -> list[Instance]:
    """Return what a selection takes of the answers to its queries, in their order."""
    return selection.take(*(cast(tuple[Instance, ...], answer.value) for answer in answers))


class Baseline:
    """What was last committed of one template, and the limits of each of its services."""

    def __init__(
        self, basis: Basis, *, limits: Callable[[str], Guard], held: Mapping[Selection, int] | None = None
    ) -> None:
        """`held`: the selections that are held already, and how many instances each had when that began."""
        self._basis = basis
        self._limits = limits
        self._held = held or {}

    @property
    def given(self) -> Mapping[Selection, tuple[Instance, ...]]:
        """What each selection was committed with."""
        return self._basis.given

    def hold(self, selection: Selection, found: list[Instance]) -> tuple[list[Instance], Shrink | None]:
        """Return what is given for `selection`, and the shrink if too much of it was lost."""
        before = self._basis.given.get(selection)
        if before is None or before == tuple(found):
            return found, None
        lost = _lost(before, found)
        reason = _violation(len(before), len(found), len(lost), self._limits(selection.service)) if lost else ""
        if lost and not reason and len(found) < self._held.get(selection, 0):
            reason = f"{len(lost)} of {len(before)} are not back yet"
        if not reason:
            return found, None
        held = self._limits(selection.service).on_violation == "hold"
        shrink = Shrink(
            selection=selection,
            before=len(before),
            after=len(found),
            lost=frozenset(map(identity, lost)),
            reason=reason,
            held=held,
        )
        return (_together(selection, found, lost) if held else found), shrink

    def hold_listing(
        self, query: Query, found: list[ServiceName], answers: Mapping[Query, Answer]
    ) -> list[ServiceName]:
        """Return a listing in which every service, and every tag, stays for which `service()` still gives instances.

        A listing and a service are answers of two moments. What is not answered yet stays too: unknown is not gone.
        """
        before = self._basis.listed.get(query)
        if before is None or before == tuple(found):
            return found
        now = {service.name: service for service in found}
        for service in before:
            there = now.get(service.name)
            if there is not None and set(there.tags) >= set(service.tags):
                continue
            if any(self._stays(selection, answers) for selection in self._selections(query, service.name)):
                tags = service.tags if there is None else tuple(sorted({*service.tags, *there.tags}))
                now[service.name] = ServiceName(service.name, tags)
        return sorted(now.values(), key=lambda service: service.name)

    def instances(self, selections: Iterable[Selection]) -> Iterator[Instance]:
        """Return the committed instances of some selections: they may be given though no answer holds them."""
        for selection in selections:
            yield from self._basis.given.get(selection, ())

    def _stays(self, selection: Selection, answers: Mapping[Query, Answer]) -> bool:
        known = [answer for query in selection.queries if (answer := answers.get(query)) is not None]
        if len(known) < len(selection.queries):
            return bool(self._basis.given[selection])
        given, _ = self.hold(selection, taken(selection, known))
        return bool(given)

    def _selections(self, listing: Query, service: str) -> Iterable[Selection]:
        return self._by_service.get((listing.catalog, listing.dc, service), ())

    @cached_property
    def _by_service(self) -> Mapping[tuple[str, str, str], list[Selection]]:
        found: dict[tuple[str, str, str], list[Selection]] = {}
        for selection in self._basis.given:
            for query in selection.queries:
                found.setdefault((query.catalog, query.dc, query.name), []).append(selection)
        return found


NOTHING = Baseline(Basis(), limits=lambda _: Guard())
"""Of a template that was never committed."""


def _lost(before: Iterable[Instance], found: Iterable[Instance]) -> list[Instance]:
    kept = set(map(identity, found))
    gone = [instance for instance in before if identity(instance) not in kept]
    if not gone:
        return gone
    taken = {(instance.address, instance.port) for instance in found if instance.port}
    return [instance for instance in gone if (instance.address, instance.port) not in taken]


def _violation(before: int, after: int, lost: int, limits: Guard) -> str:
    allowed = max(1, int(limits.max_removed * before + ROUNDING))
    if lost > allowed:
        return f"{lost} of {before} would go, more than {allowed} (max_removed = {limits.max_removed:g})"
    if after < limits.min_instances:
        return f"{after} would be left, fewer than {limits.min_instances} (min_instances)"
    return ""


def _together(selection: Selection, found: list[Instance], lost: list[Instance]) -> list[Instance]:
    together = [*found, *lost]
    if not any(query.near for query in selection.queries):
        together.sort(key=lambda instance: (instance.node, instance.id))
    return together
