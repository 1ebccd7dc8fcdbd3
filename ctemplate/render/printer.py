"""The function that every printed expression goes through: the last check before the output.

It is called once for every value of every rendering, and so is kept short.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ctemplate.render.faults import Unproved
from ctemplate.render.formats import CLOSE, OPEN
from ctemplate.render.markup import Safe

_MOST_ACCEPTED = 100_000
"""How many values that passed are remembered for a template: about 6 MB for strings that are alive anyway."""


def printer(safe: type[Safe], *, comes_again: Callable[[], bool]) -> Callable[[Any], str]:
    """Make the function that every printed expression goes through; it is called once a value, so it is kept short.

    `comes_again` tells whether what is printed now will be printed in the next rendering, too.
    """
    return _marking_printer(safe) if safe.checker.marking else _plain_printer(safe, comes_again)


def _plain_printer(safe: type[Safe], comes_again: Callable[[], bool]) -> Callable[[Any], str]:
    """Print without marks.

    Where the format has positions, the template was proved by its text, with every expression taken for
    one word; trusted text that is not one raises `Unproved`.
    """
    checker = safe.checker
    accepts = checker.format.bare.fullmatch
    proved = bool(checker.format.positions)
    accepted: set[str] = set()
    """Values are the same from rendering to rendering, and a look-up costs a third of a match."""

    def show(value: Any) -> str:
        kind = type(value)
        if kind is str:
            if value in accepted:
                return value  # type: ignore[no-any-return]  # a str, as was just tested
            if value and accepts(value):
                if comes_again():
                    if len(accepted) >= _MOST_ACCEPTED:
                        accepted.clear()
                    accepted.add(value)
                return value  # type: ignore[no-any-return]  # a str, as was just tested
        elif kind is safe:
            if proved and not accepts(value) and (value or value.shadow is not None):
                raise Unproved
            return value  # type: ignore[no-any-return]  # a Safe
        elif kind is int:
            return int.__repr__(value)
        return checker.text(value, printed=True)

    return show


def _marking_printer(safe: type[Safe]) -> Callable[[Any], str]:
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
