"""Finds which of several files a check refuses when it refuses them together.

Files are tried one at a time on top of those that passed: a file that names what another one defines
passes once that other has, and of two that only clash with each other the first one stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ctemplate.errors import CommitError
from ctemplate.model import Change

Refusal = TypeVar("Refusal", bound=CommitError)


def search(
    changes: Sequence[Change], refuses: Callable[[Sequence[Change]], Refusal | None]
) -> tuple[list[Change], list[tuple[Change, Refusal]]]:
    """Return what passes together, in the order of `changes`, and what does not, each with its refusal.

    `refuses` checks a set of changes. At most n rounds over n changes; two are enough as a rule.
    """
    accepted: list[Change] = []
    left = list(changes)
    while True:
        culprits: list[tuple[Change, Refusal]] = []
        for change in left:
            refusal = refuses([*accepted, change])
            if refusal is None:
                accepted.append(change)
            else:
                culprits.append((change, refusal))
        if not culprits or len(culprits) == len(left):
            order = {change.template: place for place, change in enumerate(changes)}
            return sorted(accepted, key=lambda change: order[change.template]), culprits
        left = [change for change, _ in culprits]
