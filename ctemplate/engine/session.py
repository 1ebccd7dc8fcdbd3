"""Everything that follows from one reading of the configuration: what SIGHUP makes anew."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ctemplate.commit.reload.known import infer_check
from ctemplate.engine.book import Book
from ctemplate.engine.group import CommitGroup, GroupRunner
from ctemplate.engine.grouping import Group, group_templates
from ctemplate.engine.guards import Guards
from ctemplate.engine.signals import Interrupted, Signals
from ctemplate.engine.threads import CommitThreads
from ctemplate.errors import ConfigError, RenderError
from ctemplate.events import Emit
from ctemplate.model import DISK, Query, Rendering, Snapshot
from ctemplate.render.resolve import Renderer
from ctemplate.settings import Settings

IDLE_GROUPS = 4
"""Threads for all groups without a command together: their commits wait for nobody. Each other group has its own."""


class Session:
    """The templates, the groups they form, and what each should hold."""

    def __init__(
        self,
        settings: Settings,
        *,
        guards: Guards,
        environ: Mapping[str, str],
        signals: Signals,
        emit: Emit,
        commit: CommitGroup,
        changed: Callable[[], None],
    ) -> None:
        """Raises ConfigError where templates cannot form groups, have no source, or name an unknown format."""
        self.settings = settings
        self.groups: tuple[Group, ...] = group_templates(settings, infer_check=infer_check)
        self.renderer = Renderer(
            settings.templates, environ=environ, catalogs=settings.catalog_names, file_roots=settings.file_roots
        )
        if absent := [str(t.source) for t in settings.templates if t.source is not None and not t.source.exists()]:
            raise ConfigError("\n".join(f"template {source} does not exist" for source in absent))
        self._guards = guards
        self.book = Book(settings.templates, renderer=self.renderer, guards=guards, signals=signals, emit=emit)
        self.news: set[str] = set()
        """The templates to which something happened since whoever tells of them emptied this."""
        self.runners = tuple(
            GroupRunner(
                group, commit=commit, once=settings.once, committed=self._committed, changed=changed, news=self.news
            )
            for group in self.groups
        )
        self.runner_of = {t.name: runner for runner in self.runners for t in runner.group.templates}
        """Who commits each template, by its name."""

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Let the groups commit from now on."""
        # Threads come as they are needed: five hundred files without a command are written by a few.
        waiting = sum(any(t.command for t in runner.group.templates) for runner in self.runners)
        self._threads = CommitThreads(waiting + IDLE_GROUPS)
        self._tasks = [tasks.create_task(r.run(self._threads), name=f"group {r.group.name}") for r in self.runners]

    async def end(self) -> None:
        """Wait until every group is between transactions, and commit no more."""
        for runner in self.runners:
            runner.end()
        await asyncio.gather(*self._tasks)
        self._threads.shutdown()

    def advance(self, snapshot: Snapshot, changed: Iterable[Query] | None) -> None:
        """Render what `changed` touches and hand it to the groups. Raises what `Book.refresh` raises."""
        changed = None if changed is None else frozenset(changed)
        edited = changed is not None and any(query.catalog == DISK for query in changed)
        names = self.book.refresh(snapshot, changed)
        for name in names:
            self.runner_of[name].offer(self.book.resolutions[name], edited=edited)
        for name in names:
            self.runner_of[name].begin()

    def use_stale(self) -> None:
        """Render from old answers what has no new ones, without waiting for a failure. Raises Interrupted."""
        self.book.stale.give_up()
        for name in self.book.stale.names:
            if self.book.refresh_one(name):
                self.runner_of[name].offer(self.book.resolutions[name])

    def _committed(self, rendering: Rendering) -> None:
        """Take what is committed for the new baseline, and judge anew what an older one judged."""
        self._guards.committed(rendering)
        name = rendering.template
        if rendering.shrinks or self.book.resolutions.get(name) is not rendering:
            with contextlib.suppress(Interrupted):  # SIGTERM: whoever waits for it ends everything
                if self.book.refresh_one(name):
                    self.runner_of[name].offer(self.book.resolutions[name])

    @property
    def destinations(self) -> frozenset[Path]:
        """Every file that the groups may write."""
        return frozenset(template.destination for template in self.settings.templates)

    @property
    def finished(self) -> bool:
        """Whether every group has had an outcome."""
        return all(runner.finished for runner in self.runners)

    def check_syntax(self) -> None:
        """Raise ConfigError naming each template whose text cannot be read or parsed.

        Asked before a running configuration is replaced; at start, one bad template holds only its own file.
        """
        faults: list[str] = []
        for template in self.settings.templates:
            try:
                text = template.contents if template.source is None else template.source.read_text("utf-8")
                self.renderer.check_syntax(template, text or "")
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
                faults.append(f"template {template.source}: {why}")
            except RenderError as error:
                faults.append(str(error))
        if faults:
            raise ConfigError("\n".join(faults))
