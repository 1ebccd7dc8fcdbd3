"""The check of one template's values: what of a datum may stand in the output, or why none of it.

Where a pass is thrown away anyway, refused values are collected rather than raised, so that one pass
finds them all. Which text needs no check is `markup`'s concern.
"""

from __future__ import annotations

import math

from jinja2 import Undefined

from ctemplate.render.faults import Fault, Refusal
from ctemplate.render.formats import Format, has_marks


class Nothing(Undefined):
    """What an inline `if` without `else` gives when it is false: the author's own way to print nothing."""


class Checker:
    """The check of one template's values: raises for a refused one, or collects them where a pass is discarded."""

    def __init__(self, format_: Format, *, marking: bool) -> None:
        self.format = format_
        self.marking = marking
        """Whether printed data are marked in the output, for `positions`."""
        self.refusals: list[Refusal] | None = None
        """Not None: refused values are noted here and printed as nothing."""

    def text(self, value: object, *, printed: bool) -> str:
        """Return a datum as the checked text that may stand in the output; raises `Refusal` or `Fault`.

        A string that is empty may be joined with others, but not printed alone where the format says so.
        """
        if isinstance(value, str):
            return self.string(value, printed=printed)
        if isinstance(value, bool) or value is None:
            return self._other(value, str(value))
        if isinstance(value, int):
            return int.__repr__(value)
        if isinstance(value, float):
            if not math.isfinite(value):
                return self._other(value, str(value))
            return float.__repr__(value)
        if type(value) is Nothing:
            return ""
        if isinstance(value, Undefined):
            return str(value)  # raises: undefined is strict
        return self._other(value, type(value).__name__)

    def string(self, value: str, *, printed: bool) -> str:
        """Check one string."""
        if not value and not printed:
            return ""
        try:
            return self.format.check(str.__str__(value))
        except Refusal as refusal:
            refusal.value = value  # the object itself, for `leaving`
            if self.refusals is None:
                raise
            self.refusals.append(refusal)
            return ""

    def quoted(self, value: object) -> str:
        """Return a string or number as one quoted word of the format."""
        if isinstance(value, Undefined):
            return str(value)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Fault(f"|quote takes a string or a number, not {_named(value)}")
        try:
            return self.format.quote(str(value))
        except Refusal as refusal:
            refusal.value = value if isinstance(value, str) else refusal.value
            if self.refusals is None:
                raise
            self.refusals.append(refusal)
            return ""

    def _other(self, value: object, named: str) -> str:
        if not self.format.checked:
            text = str(value)
            if has_marks(text) or "\x00" in text:
                raise Fault(f"text takes no NUL byte and no reserved character; found in {_named(value)}")
            return text
        if self.refusals is not None:
            return ""
        if value is None or isinstance(value, bool | float):
            raise Fault(f"{self.format.name} output would hold {named}; use |to_json, or test for it")
        raise Fault(f"{self.format.name} output would hold {_named(value)}; print its elements, or use |to_json")


def _named(value: object) -> str:
    if value is None:
        return "None"
    return f"a value of type {type(value).__name__}"
