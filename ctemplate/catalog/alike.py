"""Many queries that fail for one reason are one line: what they have in common, and which of them are named."""

from __future__ import annotations

from ctemplate.model import Query

MOST_LINES = 5
"""So many queries that fail for one reason are told each by itself; more are one line."""


def common(query: Query, reason: str) -> str:
    """Return what the failures of many queries have in common: each reason, as a 403's, may name its own query."""
    for mark in (f"/{query.name}", f'"{query.name}"') if query.name else ():
        reason = reason.replace(mark, mark[0])
    return reason


def few(queries: list[Query]) -> list[tuple[Query, int]]:
    """Return each query that is named in a line, and how many others that line stands for.

    What many share, a poll or a bug, fails for all of them in one moment, and is one line.
    """
    if len(queries) <= MOST_LINES:
        return [(query, 0) for query in queries]
    return [(queries[0], len(queries) - 1)]
