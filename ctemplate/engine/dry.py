"""`-dry`: what would change, as a unified diff a file. Takes no lock, writes nothing, runs nothing."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from ctemplate.catalog.hub import Hub
from ctemplate.commit.diff import unified_diff
from ctemplate.commit.plan import make_plan
from ctemplate.engine.book import Book
from ctemplate.engine.guards import Guards
from ctemplate.engine.keeping import recall
from ctemplate.engine.once import ended_without
from ctemplate.engine.report import DATA_MISSING, DIFFERENT, DONE, FAILED, REFUSED
from ctemplate.engine.signals import Interrupted, Signals
from ctemplate.events import Emit, Warned
from ctemplate.model import Failed, Missing, Rendering, Resolution
from ctemplate.render.resolve import Renderer
from ctemplate.settings import Settings, Template
from ctemplate.state import LAST_GOOD, read_last_good

GETS_WORSE = (DONE, DIFFERENT, REFUSED, FAILED, DATA_MISSING)
"""Of several templates the last of these is the exit code."""


async def show_differences(
    settings: Settings, *, hub: Hub, kept: Path, signals: Signals, environ: Mapping[str, str], emit: Emit
) -> int:
    """Print what a commit would change and return the exit code.

    `kept` is the state directory that says what was last committed and is held; nothing there is touched.
    The worst of all templates: 0 equal, 5 something differs, 4 a destination cannot be compared, 1 a template cannot
    render, 3 data are missing after `settings.timeout` or at SIGTERM.
    """
    guards = Guards(settings, emit=emit)
    known = recall(await asyncio.to_thread(read_last_good, kept), where=str(kept / LAST_GOOD), emit=emit)
    guards.restore(known.bases, (), now=time.monotonic())
    renderer = Renderer(
        settings.templates, environ=environ, catalogs=settings.catalog_names, file_roots=settings.file_roots
    )
    book = Book(settings.templates, renderer=renderer, guards=guards, signals=signals, emit=emit)
    work = (hub.run(), _resolve_all(book, hub, signals), signals.stop.wait())
    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    await asyncio.wait(tasks, timeout=settings.timeout, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, Interrupted):
            await task
    if missing := ended_without(book.missing(), hub.snapshot):
        emit(missing)
    codes = [_show(template, book.resolutions.get(template.name), emit=emit) for template in settings.templates]
    return max(codes, key=GETS_WORSE.index, default=DONE)


def _show(template: Template, resolution: Resolution | None, *, emit: Emit) -> int:
    """Print what differs in one template's file; return the exit code that it alone would have."""
    match resolution:
        case Rendering():
            plan = make_plan("", [(template, resolution)], checks=(), atomic=False)
            if plan.refused:
                emit(Warned(message=f"{template.name} would be rejected: {plan.refused[template.name].reason}"))
                return REFUSED
            for change in plan.changes:
                sys.stdout.write(unified_diff(change, color=sys.stdout.isatty()) + "\n")
            return DIFFERENT if plan.changes else DONE
        case Failed():
            return FAILED
    emit(Warned(message=f"{template.name} was not rendered"))
    return DATA_MISSING


async def _resolve_all(book: Book, hub: Hub, signals: Signals) -> None:
    book.refresh(hub.snapshot, None)
    while not signals.stopping:
        hub.want(book.wanted)
        waiting = [r for r in book.resolutions.values() if isinstance(r, Missing)]
        refused = {query for query, failure in hub.snapshot.failures.items() if failure.refused}
        if all(r.queries & refused for r in waiting):
            return
        update = await hub.next()
        book.refresh(update.snapshot, update.changed)
