"""One group's life: sleeps until its schedule is due, commits in a thread, keeps what came of it.

A transaction is never cancelled: whoever ends the group waits for it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor

from ctemplate.changes import Committed, Outcome, Unchanged
from ctemplate.engine.grouping import Group
from ctemplate.engine.schedule import Schedule
from ctemplate.model import Missing, Query, Rendering, Resolution
from ctemplate.settings import Template

CommitGroup = Callable[[Group, Sequence[tuple[Template, Rendering]]], Mapping[str, Outcome]]
"""Plans and commits, synchronously: template name → outcome, for each template given."""


class GroupRunner:
    """Commits a group whenever it is time, until `end`."""

    def __init__(
        self,
        group: Group,
        *,
        commit: CommitGroup,
        once: bool,
        committed: Callable[[Rendering], None],
        changed: Callable[[], None],
        news: set[str],
    ) -> None:
        """`committed` is called with each rendering that its file holds now, `changed` when `outcomes` has news.

        The names of templates with a new resolution or outcome are put into `news`.
        """
        self.group = group
        self.schedule = Schedule(group, once=once)
        self.resolutions: dict[str, Resolution] = {}
        self.outcomes: dict[str, tuple[Outcome, float]] = {}
        """Template name → its last outcome, and when, in seconds since the epoch."""
        self.finished = False
        """Whether there was a first commit, whatever came of it."""
        self._commit = commit
        self._committed = committed
        self._changed = changed
        self._news = news
        self._names = [template.name for template in group.templates]
        """Outcomes of others come, too: what was left pending may be of a template that is no more."""
        self._ending = False
        self._wake = asyncio.Event()
        self._threads: Executor | None = None
        self._taken: Sequence[tuple[Template, Rendering]] = ()
        self._transaction: asyncio.Future[Mapping[str, Outcome]] | None = None

    @property
    def committing(self) -> bool:
        """Whether a transaction is under way."""
        return self._transaction is not None

    def offer(self, resolution: Resolution, *, edited: bool = False) -> None:
        """Take a template's new resolution (`Schedule.offer`)."""
        self.resolutions[resolution.template] = resolution
        self._news.add(resolution.template)
        self.schedule.offer(resolution, now=time.monotonic(), edited=edited)
        self._wake.set()

    def misses(self, queries: AbstractSet[Query]) -> bool:
        """Whether one of its templates cannot render without one of `queries`."""
        return any(isinstance(r, Missing) and r.queries & queries for r in self.resolutions.values())

    @property
    def waits(self) -> bool:
        """Whether one of its templates still has no answer, or no key."""
        return any(isinstance(self.resolutions.get(t.name), Missing | None) for t in self.group.templates)

    def end(self) -> None:
        """Let `run` return between transactions."""
        self._ending = True
        self._wake.set()

    async def run(self, threads: Executor) -> None:
        """Commit whenever the schedule is due, in one of `threads`. Returns after `end`."""
        self._threads = threads
        while self.committing or not self._ending:
            self.begin()
            if self._transaction is None:
                await self._sleep_until(self.schedule.due())
            else:
                await self._finish(self._transaction)

    def begin(self) -> None:
        """Hand what is due to a thread now, not when `run` has its turn: for when all offers of a turn are in."""
        if self._threads is None or self._ending or self.committing:
            return
        due, now = self.schedule.due(), time.monotonic()
        if due is not None and due <= now:
            self._taken = self.schedule.take(now=now)
            loop = asyncio.get_running_loop()
            self._transaction = loop.run_in_executor(self._threads, self._commit, self.group, self._taken)

    async def _sleep_until(self, due: float | None) -> None:
        delay = None if due is None else max(0.0, due - time.monotonic())
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _finish(self, transaction: asyncio.Future[Mapping[str, Outcome]]) -> None:
        try:
            outcomes = await transaction
        finally:
            self._transaction = None
        self.schedule.note(outcomes, now=time.monotonic(), random=random.random())  # noqa: S311 - jitter, not a secret
        own = {name: (outcomes[name], time.time()) for name in self._names if name in outcomes}
        self.outcomes |= own
        self._news.update(own)
        self.finished = True
        for template, rendering in self._taken:
            if isinstance(outcomes.get(template.name), Committed | Unchanged):
                self._committed(rendering)
        self._changed()
