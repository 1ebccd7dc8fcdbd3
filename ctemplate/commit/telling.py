"""One log line an outcome: which files, how long it took, and what stands now."""

from __future__ import annotations

from collections.abc import Mapping

from ctemplate.changes import Broken, Committed, Outcome, Rejected, RolledBack, Unchanged
from ctemplate.commit.events import CommitBroken, CommitDone, CommitPending, CommitRejected, CommitRolledBack
from ctemplate.events import Emit, Event


def tell(group: str, outcomes: Mapping[str, Outcome], *, seconds: float, emit: Emit) -> None:
    """Say each distinct outcome once, with the templates that share it; nothing for what is unchanged."""
    shared: dict[Outcome, list[str]] = {}
    for template, outcome in outcomes.items():
        shared.setdefault(outcome, []).append(template)
    for outcome, templates in shared.items():
        event = _event(group, outcome, tuple(templates), seconds=seconds)
        if event is not None:
            emit(event)


def _event(group: str, outcome: Outcome, templates: tuple[str, ...], *, seconds: float) -> Event | None:
    match outcome:
        case Unchanged():
            return None
        case Committed(proof=proof, pending=""):
            return CommitDone(group=group, templates=templates, seconds=seconds, proof=proof)
        case Committed(pending=reason):
            return CommitPending(group=group, templates=templates, seconds=seconds, reason=reason)
        case Rejected(step=step, reason=reason):
            return CommitRejected(group=group, templates=templates, seconds=seconds, step=step, reason=reason)
        case RolledBack(step=step, reason=reason):
            return CommitRolledBack(group=group, templates=templates, seconds=seconds, step=step, reason=reason)
        case Broken(reason=reason):
            return CommitBroken(group=group, templates=templates, seconds=seconds, reason=reason)
