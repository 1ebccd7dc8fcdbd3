"""What somebody probably meant who wrote a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that `name` was probably meant to be, None where none is near."""
    matches = get_close_matches(name, list(known), n=1)
    return matches[0] if matches else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean …?"` where a known name is close, else nothing."""
    near = closest(name, known)
    return "" if near is None else f"; did you mean {near!r}?"
