"""Durations as people write them, turned into float seconds.

It reads text and numbers only; what a duration is for, and where it stood, is the caller's to say.
"""

from __future__ import annotations

import math
import re

from ctemplate.errors import ConfigError
from ctemplate.settings import Wait

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ms|[smhd])")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_BARE = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")

LONGEST_SECONDS = 366 * 86400.0
"""Anything above a year is a slip of the hand, and longer than what the kernel's timers are asked for here."""

DEFAULT_SPREAD = 4.0
"""How many times MIN is MAX when only MIN is given; the rule that consul-template's users know."""


def parse_duration(value: object) -> float:
    """Seconds of `"5s"`, `"250ms"`, `"1m30s"`, `"2h"` or of a bare number, which is seconds.

    Raises `ConfigError` for anything else, for a negative one and for more than 366 days.
    """
    seconds = _seconds(value)
    if seconds is None:
        raise ConfigError(f'expected a duration such as "5s", "250ms" or "1m30s", not {_shown(value)}')
    if not 0 <= seconds <= LONGEST_SECONDS:
        raise ConfigError(f"expected a duration between 0 and 366 days, not {_shown(value)}")
    return seconds


def parse_wait(value: object) -> Wait:
    """`"MIN[:MAX]"` as quiescence; MAX is four times MIN unless given.

    Raises `ConfigError` if either is no duration or if MAX is less than MIN. `"0s"` is a wait of nothing.
    """
    first, colon, second = value.partition(":") if isinstance(value, str) else (value, "", "")
    try:
        minimum = parse_duration(first)
        maximum = parse_duration(second) if colon else minimum * DEFAULT_SPREAD
    except ConfigError as error:
        raise ConfigError(f'expected MIN[:MAX] such as "2s" or "2s:8s": {error}') from None
    if maximum < minimum:
        raise ConfigError(f"expected MIN[:MAX] with MAX at least MIN, not {_shown(value)}")
    return Wait(minimum, maximum)


def _seconds(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return None if isinstance(value, float) and math.isnan(value) else value if value < math.inf else math.inf
    if not isinstance(value, str):
        return None
    text = value.strip()
    sign = -1.0 if text.startswith("-") else 1.0
    text = text.removeprefix("-")
    if _BARE.fullmatch(text):
        return sign * float(text)
    if _WHOLE.fullmatch(text):
        return sign * sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return None


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
