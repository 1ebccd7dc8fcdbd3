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


class CommandRan(Event, frozen=True, kw_only=True):
    """A check or a reload command ended well."""

    command: str
    code: int | None
    """None: it was killed at its deadline or on demand."""
    seconds: float
    output: str = ""
    """Its last lines."""
    reason: str = ""

    def text(self) -> str:
        """The command, how it ended, how long it took, and what it said."""
        said = f"\n{self.output}" if self.output else ""
        return f"`{self.command}`: {self.reason or 'ok'} ({self.seconds:.2f} s){said}"


class CommandFailed(CommandRan, frozen=True, kw_only=True):
    """A check or a reload command failed or was killed."""

    level: ClassVar[Level] = Level.ERROR


class CatalogLost(Event, frozen=True, kw_only=True):
    """No query of a catalog can be answered any more. Said once, not once a query."""

    level: ClassVar[Level] = Level.WARNING
    catalog: str
    where: str
    queries: int
    reason: str

    def text(self) -> str:
        """Which catalog, why, and what is kept."""
        return (
            f"catalog {self.catalog} ({self.where}) is away: {self.reason}; "
            f"{self.queries} queries keep their last answers, files stay as they are"
        )


class CatalogBack(Event, frozen=True, kw_only=True):
    """A catalog that was away answers again."""

    catalog: str
    where: str
    queries: int
    """How many are current again at this moment; the others are named on their own."""
    seconds: float

    def text(self) -> str:
        """Which catalog, and how long it was away."""
        return f"catalog {self.catalog} ({self.where}) is back after {self.seconds:.1f}s with {self.queries} queries"


class QueryFailed(Event, frozen=True, kw_only=True):
    """One query cannot be answered while others of its catalog can."""

    level: ClassVar[Level] = Level.WARNING
    catalog: str
    query: str
    reason: str
    refused: bool

    def text(self) -> str:
        """Which query, why, and when it is tried again."""
        again = "tried again slowly until someone changes that" if self.refused else "tried again"
        return f"{self.query} has no current answer: {self.reason}; its last answer is kept, {again}"


class QueryRecovered(Event, frozen=True, kw_only=True):
    """A query that had failed on its own is answered again."""

    catalog: str
    query: str
    seconds: float

    def text(self) -> str:
        """Which query, and how long it had none."""
        return f"{self.query} is answered again after {self.seconds:.1f}s"


class InstanceLeftOut(Event, frozen=True, kw_only=True):
    """A record was left out of an answer, because it cannot be what it claims to be. Said once a record and reason."""

    level: ClassVar[Level] = Level.WARNING
    query: str
    name: str
    node: str
    id: str
    reason: str

    def text(self) -> str:
        """Which record, where, and which fault; never the value."""
        where = f" on node {self.node}" if self.node else ""
        return f"{self.query}: {self.id or self.name or 'a record'}{where} is left out: {self.reason}"
