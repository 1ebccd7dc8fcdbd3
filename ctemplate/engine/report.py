"""From the parts' own records to the one status that `ctemplate status` shows, and to exit codes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from ctemplate import __version__
from ctemplate.catalog.hearing import Hearing
from ctemplate.catalog.hub import Hub
from ctemplate.changes import Broken, Committed, Rejected, RolledBack, Unchanged
from ctemplate.engine.group import GroupRunner
from ctemplate.engine.guards import Guards
from ctemplate.engine.session import Session
from ctemplate.model import DISK, Failed, LeftOut, Missing, Query, Rendering
from ctemplate.observe.status import CatalogStatus, HoldStatus, Status, TemplateStatus
from ctemplate.settings import FOREVER

DONE, FAILED, USAGE, DATA_MISSING, REFUSED, DIFFERENT, BROKEN = 0, 1, 2, 3, 4, 5, 6
"""The exit codes of `-once` (docs/operations.md)."""


class Report:
    """What `ctemplate status` shows, collected again and again: most templates are as they were."""

    def __init__(self, *, started: float, protection: str) -> None:
        """`started`: in seconds since the epoch."""
        self._started = started
        self._protection = protection
        self._session: Session | None = None
        self._known: dict[str, TemplateStatus] = {}
        self._retried: frozenset[str] = frozenset()
        """The templates that are tried again: their status counts down to that."""

    def status(self, session: Session, hub: Hub, guards: Guards) -> Status:
        """Return what is known now."""
        now = time.time()
        return Status(
            version=__version__,
            pid=os.getpid(),
            started=self._started,
            written=now,
            protection=self._protection,
            templates=self._templates(session, hub.hearing(), now=now),
            catalogs=_catalogs(hub),
            holds=_holds(guards, now=now),
        )

    def _templates(self, session: Session, hearing: Hearing, *, now: float) -> tuple[TemplateStatus, ...]:
        """Return what is said of each template; of one to which nothing happened only its age is said anew."""
        anew = self._make_anew(session)
        heard, max_age = hearing.all_heard, session.settings.max_age
        if heard is not None and 0 < max_age < now - heard:
            heard = None  # some may have been heard of later
        for name, status in self._known.items():
            if heard is None or status.data_since is None or status.stale or name in anew:
                resolution = session.runner_of[name].resolutions.get(name)
                reads = resolution.reads if resolution is not None else ()
                status.data_since = since = session.book.stale.written if status.stale else hearing.oldest(reads)
                status.too_old = 0 < max_age < now - (since or self._started) and _asks(reads)
            else:
                if status.data_since < heard:
                    status.data_since = heard
                elif status.data_since > now:
                    status.data_since = max(now, heard)  # the clock was set back
                status.too_old = False
        return tuple(self._known.values())

    def _make_anew(self, session: Session) -> AbstractSet[str]:
        """Make the status of each template to which something happened, and return which these are."""
        names: AbstractSet[str] = session.news | self._retried
        if session is not self._session:
            self._session, self._known, names = session, {}, session.runner_of.keys()
        due = {name: session.runner_of[name].schedule.next_try(name) for name in names}
        for name in names:
            self._known[name] = _template_status(session.runner_of[name], name, started=self._started, due=due[name])
        self._retried = frozenset(name for name in names if due[name] is not None)
        session.news.clear()
        return names


def _asks(reads: Iterable[Query]) -> bool:
    """Whether anything but local files is read."""
    return any(query.catalog != DISK for query in reads)


def _catalogs(hub: Hub) -> tuple[CatalogStatus, ...]:
    return tuple(
        CatalogStatus(
            name=report.name,
            where=report.where,
            connected=report.connected,
            since=report.since,
            watches=report.watches,
            connections=report.connections,
            failing=tuple(f"{query}: {failure.reason}" for query, failure in report.failing.items()),
            refused=any(failure.refused for failure in report.failing.values()),
        )
        for report in hub.reports()
        if report.name != DISK or report.failing
    )


def _holds(guards: Guards, *, now: float) -> tuple[HoldStatus, ...]:
    clock = time.monotonic()
    return tuple(
        HoldStatus(
            service=hold.selection.service,
            selection=str(hold.selection),
            destination=hold.template,
            before=hold.shrink.before,
            after=hold.shrink.after,
            reason=hold.shrink.reason,
            leader=hold.leader,
            since=now - (clock - hold.began),
            until=None if hold.due == FOREVER else now + hold.due - clock,
        )
        for hold in guards.holds
    )


def exit_code(runners: Iterable[GroupRunner]) -> int:
    """Return what `-once` ends with: the worst of all templates."""
    return max((_code(runner, t.name) for runner in runners for t in runner.group.templates), default=DONE)


def _code(runner: GroupRunner, name: str) -> int:
    resolution = runner.resolutions.get(name)
    if isinstance(resolution, Failed):
        return FAILED
    if not isinstance(resolution, Rendering):
        return DATA_MISSING
    held = any(shrink.held for shrink in resolution.shrinks)
    return max(_outcome_code(runner, name), REFUSED if held else DATA_MISSING if resolution.stale else DONE)


def _outcome_code(runner: GroupRunner, name: str) -> int:
    match runner.outcomes.get(name):
        case (Unchanged(), _):
            return DONE
        case (Committed(pending=pending), _):
            return FAILED if pending else DONE
        case (Rejected() | RolledBack(), _):
            return REFUSED
        case (Broken(), _):
            return BROKEN
        case _:
            return DATA_MISSING  # another template of its group still misses data


def _template_status(runner: GroupRunner, name: str, *, started: float, due: float | None) -> TemplateStatus:
    """Return all of it that does not change by time alone; `due`: when it is tried again, in monotonic seconds."""
    state, since, proof, reason, pending = _state(runner, name, started=started)
    if due is not None:
        pending = f"{pending}; " if pending else ""
        pending += f"tried again in {max(0, due - time.monotonic()):.0f} s"
    resolution = runner.resolutions.get(name)
    rendering = resolution if isinstance(resolution, Rendering) else None
    return TemplateStatus(
        destination=name,
        group=runner.group.name,
        state=state,
        since=since,
        proof=proof,
        reason=reason,
        pending=pending,
        instances=rendering.instances if rendering else 0,
        left_out=tuple(map(_left_out, rendering.left_out)) if rendering else (),
        stale=rendering is not None and rendering.stale,
    )


def _left_out(record: LeftOut) -> str:
    return f"{record.id} of {record.service} on {record.node or '-'}: {record.reason}"


def _state(runner: GroupRunner, name: str, *, started: float) -> tuple[str, float, str, str, str]:
    """Return state, since, proof, reason, pending."""
    outcome, at = runner.outcomes.get(name, (None, started))
    match runner.resolutions.get(name):
        case Failed(reason=reason):
            return "failed", at, "", reason, ""
        case Missing() as waits:
            return "waiting", at, "", _awaited(waits), ""
    match outcome:
        case Unchanged():
            return "unchanged", at, "", "", ""
        case Committed(proof=proof, pending=pending):
            return "committed", at, str(proof), "", pending
        case Rejected(step=step, reason=reason):
            return "rejected", at, "", f"{step}: {reason}", ""
        case RolledBack(step=step, reason=reason):
            return "rolled back", at, "", f"{step}: {reason}", ""
        case Broken(reason=reason):
            return "broken", at, "", reason, ""
    return "pending", at, "", "", "not committed yet"


def _awaited(waits: Missing) -> str:
    """Say what is not known yet apart from what is known not to be there yet."""
    unknown, absent = sorted(map(str, waits.queries)), sorted(map(str, waits.keys))
    said = [f"no answer yet for {', '.join(unknown[:5])}" + _others(unknown)] if unknown else []
    said += [f"there is no {', '.join(absent[:5])}{_others(absent)} yet"] if absent else []
    return "; ".join(said)


def _others(names: list[str]) -> str:
    return f" and {len(names) - 5} others" if len(names) > 5 else ""
