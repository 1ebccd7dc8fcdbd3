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
from ctemplate.engine.report import DATA_MISSING, DIFFERENT, DONE, FAILED
from ctemplate.engine.signals import Signals
from ctemplate.events import Emit, Warned
from ctemplate.model import Failed, Missing, Rendering
from ctemplate.render.resolve import Renderer
from ctemplate.settings import Settings
from ctemplate.state import LAST_GOOD, read_last_good


async def show_differences(
    settings: Settings, *, hub: Hub, kept: Path, signals: Signals, environ: Mapping[str, str], emit: Emit
) -> int:
    """Print what a commit would change and return the exit code.

    `kept` is the state directory that says what was last committed and is held; nothing there is touched.
    0 equal, 5 something differs, 1 a template cannot render, 3 data are missing after `settings.timeout`.
    """
    guards = Guards(settings, emit=emit)
    known = recall(await asyncio.to_thread(read_last_good, kept), where=str(kept / LAST_GOOD), emit=emit)
    guards.restore(known.bases, (), now=time.monotonic())
    renderer = Renderer(
        settings.templates, environ=environ, catalogs=settings.catalog_names, file_roots=settings.file_roots
    )
    book = Book(settings.templates, renderer=renderer, guards=guards, signals=signals, emit=emit)
    watching = asyncio.create_task(hub.run(), name="hub")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(settings.timeout):
            await _resolve_all(book, hub, signals)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    code = DONE
    for template in settings.templates:
        match book.resolutions.get(template.name):
            case Rendering() as rendering:
                for change in make_plan("", [(template, rendering)], checks=(), atomic=False).changes:
                    sys.stdout.write(unified_diff(change, color=sys.stdout.isatty()) + "\n")
                    code = code or DIFFERENT
            case Failed():
                code = FAILED if code != DATA_MISSING else code
            case Missing() as missing:
                names = ", ".join(sorted(str(query) for query in missing.queries | missing.keys))
                emit(Warned(message=f"{template.name} misses {names}"))
                code = DATA_MISSING
    return code


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
