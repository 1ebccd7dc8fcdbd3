"""The loop: news from the hub becomes renderings, renderings become commits, until somebody says stop.

The daemon and `-once` are the same loop; `-once` ends when every group has had its outcome, when a
catalog says no, or when its time is up.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Mapping, Sequence

from ctemplate import requests
from ctemplate.catalog.base import Catalog
from ctemplate.catalog.hub import Hub
from ctemplate.changes import Outcome, Unchanged
from ctemplate.commit.group import Committer
from ctemplate.commit.plan import make_plan
from ctemplate.commit.reload.known import reloader_for
from ctemplate.engine import progress, report
from ctemplate.engine.ages import Ages
from ctemplate.engine.asked import Asked
from ctemplate.engine.grouping import Group
from ctemplate.engine.guards import Guards
from ctemplate.engine.health_file import HealthFile
from ctemplate.engine.keeping import Keeping, recall
from ctemplate.engine.leader import Leader
from ctemplate.engine.once import ended_without, until_finished
from ctemplate.engine.ready import READY_SECONDS, until_ready
from ctemplate.engine.session import Session
from ctemplate.engine.signals import Interrupted, Signals
from ctemplate.engine.stale import StaleStart
from ctemplate.engine.status_file import STATUS_SECONDS, StatusFile
from ctemplate.engine.turn import Turn
from ctemplate.errors import CTemplateError
from ctemplate.events import Emit, Notice, Warned
from ctemplate.model import Query, Rendering, Snapshot
from ctemplate.observe.log import Log
from ctemplate.observe.status import Status
from ctemplate.observe.systemd import Notifier
from ctemplate.settings import Settings, Template
from ctemplate.state import LAST_GOOD, DestinationLocks, State, read_last_good

HEARTBEAT_SECONDS = 30.0
"""How often the loop turns without news, to feed the watchdog and keep the ages in status.json fresh."""

REST_FROM_SECONDS, REST = 0.01, 3
"""A rendering that took longer than the first is followed by a rest of so many times as long: where thousands of
services change all the time, a quarter of one core goes into rendering and no more. A lone change never waits."""

ASIDE_SECONDS = 0.01
"""After a rendering, until those are told whom its commit does not wait for, the log's reader among them: by then it
is on its way."""

LEAST_SECONDS = 1.0
"""What `-once` waits for data at least, if asking the leader about what an earlier run held took all of its time."""


class Daemon:
    """One run of ctemplate, from its first query to its last commit."""

    def __init__(
        self,
        settings: Settings,
        *,
        load: Callable[[], Settings],
        hub: Hub,
        catalogs: Callable[[Settings], Mapping[str, Catalog]],
        state: State,
        locks: DestinationLocks,
        signals: Signals,
        notifier: Notifier,
        environ: Mapping[str, str],
        log: Log,
    ) -> None:
        """`load` reads the configuration again, `catalogs` opens what it names.

        Raises what `Session` and `DestinationLocks.hold` raise.
        """
        self._load = load
        self._hub = hub
        self._open_catalogs = catalogs
        self._state = state
        self._locks = locks
        self._signals = signals
        self._notifier = notifier
        self._environ = environ
        self._log = log
        self._emit: Emit = log
        self._turn = Turn()
        self._aside: asyncio.TimerHandle | None = None
        self._committer = Committer(
            journal_dir=state.journal_dir,
            rejected_dir=state.rejected_dir,
            emit=log,
            cancel=signals.kill,
            reloader=functools.partial(reloader_for, haproxy_socket=str(settings.haproxy_socket or "")),
        )
        self._report = report.Report(started=time.time(), protection=self._committer.protection)
        self._ages = Ages(log)
        self._guards = Guards(settings, emit=log)
        self._keeping = Keeping(self._guards, state, settings=lambda: self._session.settings, emit=log)
        self._leader = Leader(self._guards, hub, released=self._let_through)
        self._asked = Asked(state.requests_dir, self._guards, released=self._let_through)
        self._status = StatusFile(
            state,
            collect=self._take_stock,
            written=lambda: notifier.status(self._summary()),
            max_age=lambda: self._session.settings.max_age,
            emit=log,
        )
        self._session = self._open(settings)
        health_file = None if settings.once else settings.health_file
        self._health = HealthFile(health_file, session=lambda: self._session, emit=log)
        locks.hold(self._session.destinations)

    async def run(self) -> int:
        """Run to the end and return the exit code."""
        settings = self._session.settings
        self._emit(Notice(message=f"configurations are checked by {self._committer.protection}"))
        await asyncio.to_thread(self._committer.recover)
        await asyncio.to_thread(self._committer.sweep_leftovers, self._session.destinations)
        until = time.monotonic() + settings.timeout
        await self._recall(settings)
        async with asyncio.TaskGroup() as self._tasks:
            work = {
                "hub": self._hub.run(),
                "follow": self._follow(),
                "ready": self._say_ready(),
                "status": self._status.run(),
                "reload": self._reload_on_hangup(),
                "leader": self._leader.run(),
                "keeping": self._keeping.run(),
                "requests": self._asked.run(),
                "health": self._health.run(),
                "stop": self._tell_of_stop(),
                "progress": self._show_progress(None if settings.once else READY_SECONDS),
            }
            tasks = [self._tasks.create_task(coroutine, name=name) for name, coroutine in work.items()]
            self._session.start(self._tasks)
            left = max(min(LEAST_SECONDS, settings.timeout), until - time.monotonic())
            missing: Warned | None = None
            if settings.once:
                await until_finished(
                    lambda: self._session, self._hub, seconds=left, turn=self._turn, signals=self._signals
                )
                missing = ended_without(self._session.book.missing(), self._hub.snapshot)
            else:
                await self._signals.stop.wait()
            self._notifier.stopping()
            if any(runner.committing for runner in self._session.runners):
                self._emit(Notice(message="ends after the commit that is under way; a second signal undoes that one"))
            await self._session.end()
            for task in tasks:
                task.cancel()
        await self._keeping.save()
        self._status.write()
        if missing:
            self._emit(missing)
        return report.exit_code(self._session.runners) if settings.once else report.DONE

    def _open(self, settings: Settings) -> Session:
        return Session(
            settings,
            guards=self._guards,
            environ=self._environ,
            signals=self._signals,
            emit=self._emit,
            commit=self._commit,
            changed=self._tell,
        )

    async def _recall(self, settings: Settings) -> None:
        """Take up what an earlier run committed and held, and what was asked of it meanwhile."""
        raw = await asyncio.to_thread(read_last_good, self._state.path)
        known = recall(raw, where=f"{self._state.path / LAST_GOOD}", emit=self._emit)
        gone = max(0.0, time.time() - known.written)
        holds = [(template, shrink, age + gone) for template, shrink, age in known.holds]
        self._guards.restore(known.bases, holds, now=time.monotonic())
        if settings.stale_start:
            self._session.book.stale = StaleStart.of_missing(settings.templates, known)
        requests.sweep(self._state.requests_dir)
        self._asked.answer()
        if settings.once and self._guards.holds:
            with contextlib.suppress(TimeoutError):  # the catalog is away: what is held stays so
                async with asyncio.timeout(settings.timeout):
                    await self._leader.ask()

    def _let_through(self, queries: frozenset[Query]) -> None:
        """Render again what reads queries of which something was released."""
        with contextlib.suppress(Interrupted):  # SIGTERM: `run` ends everything
            self._advance(self._hub.snapshot, queries)

    def _commit(self, group: Group, chosen: Sequence[tuple[Template, Rendering]]) -> Mapping[str, Outcome]:
        """Make the machine agree with what a group wants. Runs in the group's thread."""
        plan = make_plan(group.name, chosen, checks=group.checks, atomic=group.atomic)
        outcomes: dict[str, Outcome] = {template.name: Unchanged() for template, _ in chosen}
        return outcomes | self._committer.apply(plan)

    def _tell(self) -> None:
        if self._aside is not None:
            self._aside.cancel()
            self._aside = None
        for part in (self._status, self._leader, self._asked, self._keeping, self._health):
            part.wake()
        self._turn.tell()
        self._log.flush()

    async def _tell_of_stop(self) -> None:
        await self._signals.stop.wait()
        self._turn.tell()

    async def _follow(self) -> None:
        """Turn news into renderings. Its turns feed the watchdog: a loop that hangs is not alive."""
        try:
            self._advance(self._hub.snapshot, None)
            while True:
                try:
                    async with asyncio.timeout(self._heartbeat()):
                        update = await self._hub.next()
                except TimeoutError:
                    self._status.wake()
                else:
                    began = time.thread_time()
                    self._advance(update.snapshot, update.changed)
                    took = time.thread_time() - began
                    if took > REST_FROM_SECONDS:
                        await asyncio.sleep(REST * took)
                self._notifier.alive()
        except Interrupted:
            return  # SIGTERM while a template ran: `run` ends everything

    def _heartbeat(self) -> float:
        wanted = (self._notifier.watchdog_seconds / 2, self._session.settings.max_age / 4)
        return min([HEARTBEAT_SECONDS, *(max(each, STATUS_SECONDS) for each in wanted if each)])

    def _advance(self, snapshot: Snapshot, changed: frozenset[Query] | None) -> None:
        self._session.advance(snapshot, changed)
        self._hub.want(self._session.book.wanted)
        if self._aside is None:
            self._aside = asyncio.get_running_loop().call_later(ASIDE_SECONDS, self._tell)

    async def _show_progress(self, seconds: float | None) -> None:
        await progress.show(self._hub, lambda: self._session.book.wanted, log=self._log, seconds=seconds)

    async def _say_ready(self) -> None:
        """Tell systemd that every group had its outcome, or what is still awaited after a minute."""
        await until_ready(lambda: self._session, turn=self._turn)
        self._notifier.ready(self._summary())

    def _take_stock(self) -> Status:
        """Return what status.json is to say; what it says of ages is a matter for the log and the health file, too."""
        status = self._report.status(self._session, self._hub, self._guards)
        self._ages.note(status)
        self._health.note_ages(frozenset(t.destination for t in status.templates if t.too_old))
        return status

    def _summary(self) -> str:
        waiting = self._session.book.missing()
        return f"waits for {len(waiting)} answers" if waiting else f"{len(self._session.settings.templates)} templates"

    async def _reload_on_hangup(self) -> None:
        while True:
            await self._signals.reload.wait()
            self._signals.reload.clear()
            self._notifier.reloading()
            await self._reload()
            self._notifier.ready(self._summary())

    async def _reload(self) -> None:
        """Replace the configuration as a whole, or keep the running one as a whole."""
        before = self._session
        try:
            settings = self._load()
            session = self._open(settings)
            session.check_syntax()
            elsewhere = (settings.catalogs, settings.consul) != (before.settings.catalogs, before.settings.consul)
            catalogs = self._open_catalogs(settings) if elsewhere else None
            self._locks.hold(session.destinations | before.destinations)
        except CTemplateError as error:
            self._emit(Warned(message=f"the new configuration is refused, the running one goes on:\n{error}"))
            return
        await before.end()
        await asyncio.to_thread(self._committer.recover)  # what is pending may belong to a group that is no more
        self._session = session
        self._guards.configure(settings, now=time.monotonic())
        self._locks.hold(session.destinations)
        self._log.show(level=settings.log_level, json=settings.log_format == "json")
        if catalogs is not None:
            self._hub.replace(catalogs)
        self._advance(self._hub.snapshot, None)
        session.start(self._tasks)
        self._hub.retry_now()
        self._emit(Notice(message=f"read the configuration again: {len(settings.templates)} templates"))
        if changed := settings.needs_restart(before.settings):
            self._emit(Warned(message=f"what takes effect only at the next start has changed: {', '.join(changed)}"))
