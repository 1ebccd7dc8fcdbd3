"""The function that every printed expression goes through: the last check before the output.

Strings that passed it before need not go through it again; it is kept short for all other values.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, TypeAlias

from ctemplate.render.faults import Unproved
from ctemplate.render.formats import CLOSE, OPEN
from ctemplate.render.markup import Safe

if TYPE_CHECKING:
    from ctemplate.render.environment import CheckedEnvironment

_MOST_ACCEPTED = 200_000
"""How many values that passed are remembered for a template, four each of 50,000 instances: about 8 MB for strings that
are alive anyway. Where more are printed than these, most are matched once more in every rendering."""

Show: TypeAlias = Callable[[Any], str]


def printer(environment: CheckedEnvironment) -> tuple[Show, AbstractSet[str]]:
    """Make the function that every printed expression goes through, and the set of strings that passed it before.

    Whoever has one of these, of exactly the type `str`, need not call the function: values are the same from rendering
    to rendering.
    """
    if environment.checker.marking:
        return _marking_printer(environment.safe), frozenset()
    accepted: set[str] = set()
    return _plain_printer(environment, accepted), accepted


def _plain_printer(environment: CheckedEnvironment, accepted: set[str]) -> Show:
    """Print without marks.

    Where the format has positions, the template was proved by its text, with every expression taken for
    one word; trusted text that is not one raises `Unproved`.
    """
    safe, checker = environment.safe, environment.checker
    accepts = checker.format.bare.fullmatch
    proved = bool(checker.format.positions)

    def show(value: Any) -> str:
        kind = type(value)
        if kind is int:
            return int.__repr__(value)
        if kind is str:
            if value and accepts(value):
                if environment.current.followed is None:  # or its text is kept, and it is not printed again
                    if len(accepted) >= _MOST_ACCEPTED:
                        accepted.clear()
                    accepted.add(value)
                return value  # type: ignore[no-any-return]  # a str, as was just tested
        elif kind is safe:
            if proved and not accepts(value) and (value or value.shadow is not None):
                raise Unproved
            return value  # type: ignore[no-any-return]  # a Safe
        return checker.text(value, printed=True)

    return show


def _marking_printer(safe: type[Safe]) -> Show:
    checker = safe.checker
    accepts = checker.format.bare.fullmatch

    def show(value: Any) -> str:
        kind = type(value)
        if kind is str:
            if accepts(value):
                return f"{OPEN}{value}{CLOSE}"
        elif kind is safe:
            return value.inline()  # type: ignore[no-any-return]  # a Safe
        elif kind is int:
            return int.__repr__(value)  # a number is no directive, wherever it stands
        text = checker.text(value, printed=True)
        return f"{OPEN}{text}{CLOSE}" if text else text

    return show
