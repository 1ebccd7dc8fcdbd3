"""The last check before the output: what every printed expression goes through.

Nearly all that is printed are strings that pass. They are only noted while the template runs, and checked together
after a passage or when the pass is over: that costs a third of checking each in its place. If one of them is refused,
all that the pass made is thrown away, and the next pass checks each value where it is printed, which tells whose it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from ctemplate.render.faults import Unproved
from ctemplate.render.formats import CLOSE, OPEN, Format
from ctemplate.render.markup import Safe

if TYPE_CHECKING:
    from ctemplate.render.environment import CheckedEnvironment

Show: TypeAlias = Callable[[Any], str]


class Noted:
    """The strings that a pass printed without a check."""

    def __init__(self, format_: Format) -> None:
        self._texts: list[str] = []
        self._accepts = format_.bare.fullmatch
        self._fit = True
        self.note = self._texts.append

    def fit(self) -> bool:
        """Whether the format takes all that was noted in this pass; let go of it, since it takes up memory."""
        if not all(map(self._accepts, self._texts)):
            self._fit = False
        self._texts.clear()
        return self._fit

    def end(self) -> bool:
        """Return the same at the end of the pass."""
        fit, self._fit = self.fit(), True
        return fit


def note_none(_: str) -> bool:
    """Stand in the place of `Noted.note` where strings are checked as they are printed."""
    return False


def printer(environment: CheckedEnvironment) -> Show:
    """Make the function that every expression goes through which is neither a number nor noted."""
    return _marking_printer(environment.safe) if environment.checker.marking else _plain_printer(environment)


def _plain_printer(environment: CheckedEnvironment) -> Show:
    """Print without marks.

    Where the format has positions, the template was proved by its text, with every expression taken for
    one word; trusted text that is not one raises `Unproved`.
    """
    safe, checker = environment.safe, environment.checker
    accepts = checker.format.bare.fullmatch
    proved = bool(checker.format.positions)

    def show(value: Any) -> str:
        kind = type(value)
        if kind is str:
            if value and accepts(value):
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
