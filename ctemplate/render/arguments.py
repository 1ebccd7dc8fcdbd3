"""What `%` puts into trusted text: arguments that are checked when they are turned into text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class _Argument:
    """An argument of `%`, checked when it is turned into text; numbers stay numbers."""

    __slots__ = ("_shown", "_value")

    def __init__(self, value: Any, shown: Callable[[Any], str]) -> None:
        self._value = value
        self._shown = shown

    def __getitem__(self, key: object) -> _Argument:
        return _Argument(self._value[key], self._shown)

    def __str__(self) -> str:
        return self._shown(self._value)

    def __repr__(self) -> str:
        return self._shown(repr(self._value))

    def __int__(self) -> int:
        return int(self._value)

    def __float__(self) -> float:
        return float(self._value)


def arguments(values: Any, shown: Callable[[Any], str]) -> Any:
    """Wrap the right side of `%`; `shown` checks a value and returns what stands for it."""
    if isinstance(values, tuple):
        return tuple(_Argument(value, shown) for value in values)
    if hasattr(type(values), "__getitem__") and not isinstance(values, str):
        return _Argument(values, shown)
    return (_Argument(values, shown),)
