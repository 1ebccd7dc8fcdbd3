"""`-once`: until when it waits, and what it says at the end of what was missing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from ctemplate.catalog.alike import common, few
from ctemplate.catalog.hub import Hub
from ctemplate.engine.session import Session
from ctemplate.engine.signals import Interrupted, Signals
from ctemplate.engine.turn import Turn
from ctemplate.events import Warned
from ctemplate.model import Answer, Query, Snapshot


async def until_finished(
    session: Callable[[], Session], hub: Hub, *, seconds: float, turn: Turn, signals: Signals
) -> None:
    """Return when there is nothing left to wait for, or no time left to wait; `session` returns the current one."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not (signals.stopping or session().finished or _is_refused(session(), hub.snapshot)):
                await turn.wait()
    await _finish_stale(session, turn=turn, signals=signals)


async def _finish_stale(session: Callable[[], Session], *, turn: Turn, signals: Signals) -> None:
    """Commit what can be rendered from an earlier run, where `-stale-start` says so."""
    with contextlib.suppress(Interrupted):
        session().use_stale()
    while not (signals.stopping or all(r.finished or r.waits for r in session().runners)):
        await turn.wait()


def _is_refused(session: Session, snapshot: Snapshot) -> bool:
    """Whether whoever is not finished waits for a person: time would not help, and nobody else is cut short."""
    refused = frozenset(query for query, failure in snapshot.failures.items() if failure.refused)
    return all(runner.finished or runner.misses(refused) for runner in session.runners)


def ended_without(missing: frozenset[Query], snapshot: Snapshot) -> Warned | None:
    """Say of each query why it is missing; of many for one reason, of one and how many others. None if none is."""
    alike: dict[str, list[Query]] = {}
    for query in sorted(missing, key=str):
        alike.setdefault(common(query, _why(query, snapshot)), []).append(query)
    lines = [
        f"{query}{f' and {others} others' if others else ''}: {_why(query, snapshot)}"
        for queries in alike.values()
        for query, others in few(queries)
    ]
    return Warned(message="\n".join(["ended without", *lines])) if lines else None


def _why(query: Query, snapshot: Snapshot) -> str:
    if query in snapshot.failures:
        return snapshot.failures[query].reason
    match snapshot.answers.get(query):
        case None:
            return "no answer yet"
        case Answer(value=None):
            return "it does not exist, and the template has no default"
    return "its answer came too late"
