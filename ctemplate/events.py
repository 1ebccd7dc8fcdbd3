"""What ctemplate tells, as frozen records; `observe` turns them into log lines.

Parts that tell something take an `emit` callable and hand it one of these; none of them knows who
listens. Records hold names, counts, durations in seconds and reasons: never a token, and no value
that a template printed, except in `Diff`, which nobody makes for a sensitive template.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import ClassVar, TypeAlias

import msgspec


class Level(enum.IntEnum):
    """How loud a line is; the numbers are those of the standard library's logging."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. `text()` is its log line, its fields are the JSON."""

    level: ClassVar[Level] = Level.INFO
    can_wait: ClassVar[bool] = False
    """Whether its line may be written a moment later, before the next: for what something urgent follows at once."""

    def text(self) -> str:
        """The line a person reads, without time and level."""
        raise NotImplementedError


Emit: TypeAlias = Callable[[Event], None]


class Notice(Event, frozen=True, kw_only=True):
    """Something worth saying once that needs no fields of its own."""

    message: str

    def text(self) -> str:
        """As it was said."""
        return self.message


class Warned(Notice, frozen=True, kw_only=True):
    """Something that a person should look at before it hurts."""

    level: ClassVar[Level] = Level.WARNING


class Debugged(Notice, frozen=True, kw_only=True):
    """Something that only a search for a fault needs."""

    level: ClassVar[Level] = Level.DEBUG
