"""Finds which of several files a check refuses when it refuses them together.

By halves, each on top of those that already passed, so that one culprit among n files costs about
2 log n checks and not n. A file that names what another one defines passes once that other has, in a
further round; of two that only clash with each other the first one stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ctemplate.changes import Change
from ctemplate.errors import CommitError

Refusal = TypeVar("Refusal", bound=CommitError)


def search(
    changes: Sequence[Change], refuses: Callable[[Sequence[Change]], Refusal | None]
) -> tuple[list[Change], list[tuple[Change, Refusal]]]:
    """Return what passes together, in the order of `changes`, and what does not, each with its last refusal.

    `refuses` checks a set of changes; it is known to refuse all of them together.
    """
    order = {change.template: place for place, change in enumerate(changes)}

    def ordered(some: Sequence[Change]) -> list[Change]:
        return sorted(some, key=lambda change: order[change.template])

    accepted: list[Change] = []
    culprits: list[tuple[Change, Refusal]] = []

    def add(some: Sequence[Change]) -> None:
        refusal = refuses(ordered([*accepted, *some]))
        if refusal is None:
            accepted.extend(some)
        elif len(some) == 1:
            culprits.append((some[0], refusal))
        else:
            halve(some)

    def halve(some: Sequence[Change]) -> None:
        middle = len(some) // 2
        add(some[:middle])
        add(some[middle:])

    if len(changes) == 1:
        add(changes)
    else:
        halve(changes)
    while accepted and culprits:
        left = [change for change, _ in culprits]
        culprits.clear()
        add(left)
        if len(culprits) == len(left):
            break
    return ordered(accepted), culprits
