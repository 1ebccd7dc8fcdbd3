"""What is told of catalogs, their queries and their records (`ctemplate/events.py`)."""

from __future__ import annotations

from typing import ClassVar

from ctemplate.events import Event, Level


class CatalogLost(Event, frozen=True, kw_only=True):
    """No query of a catalog can be answered any more. Said once, not once a query."""

    level: ClassVar[Level] = Level.WARNING
    catalog: str
    where: str
    queries: int
    kept: int
    """How many of them were answered before."""
    reason: str

    def text(self) -> str:
        """Which catalog, why, and what is kept."""
        kept = (
            f"the last answers of {self.kept} of its {self.queries} queries are kept"
            if self.kept
            else f"none of its {self.queries} queries was answered yet"
        )
        return f"catalog {self.catalog} ({self.where}) is away: {self.reason}; {kept}, and files stay as they are"


class CatalogBack(Event, frozen=True, kw_only=True):
    """A catalog that was away answers again."""

    catalog: str
    where: str
    queries: int
    """How many are current again at this moment; the others are named on their own."""
    seconds: float

    def text(self) -> str:
        """Which catalog, and how long it was away."""
        return f"catalog {self.catalog} ({self.where}) is back after {self.seconds:.1f}s ({self.queries} answered)"


class QueryFailed(Event, frozen=True, kw_only=True):
    """Queries cannot be answered, for one reason, while others of their catalog can."""

    level: ClassVar[Level] = Level.WARNING
    catalog: str
    query: str
    others: int = 0
    """How many besides."""
    reason: str
    refused: bool

    def text(self) -> str:
        """Which queries, why, and when they are tried again."""
        again = "tried again slowly, someone must change that" if self.refused else "tried again"
        have = f"and {self.others} others have" if self.others else "has"
        return f"{self.query} {have} no current answer: {self.reason}; what was answered before stays in use; {again}"


class QueryRecovered(Event, frozen=True, kw_only=True):
    """Queries that had failed on their own are answered again."""

    catalog: str
    query: str
    others: int = 0
    """How many besides."""
    seconds: float
    """Of the one that had failed the longest."""

    def text(self) -> str:
        """Which queries, and how long they had none."""
        are = f"and {self.others} others are" if self.others else "is"
        return f"{self.query} {are} answered again after {self.seconds:.1f}s"


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
