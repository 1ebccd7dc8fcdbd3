"""From settings to a running loop: opens every part, hands them to the daemon or to `-dry`, closes them again."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from ctemplate.catalog.base import Catalog
from ctemplate.catalog.disk import DiskCatalog
from ctemplate.catalog.hub import Hub
from ctemplate.catalog.registry import open_catalog
from ctemplate.commit.reload.known import unknown_command_warning
from ctemplate.engine.daemon import Daemon
from ctemplate.engine.dry import show_differences
from ctemplate.engine.signals import Signals
from ctemplate.events import Emit, Warned
from ctemplate.model import DISK
from ctemplate.observe.log import Log
from ctemplate.observe.systemd import Notifier
from ctemplate.settings import Settings
from ctemplate.state import DestinationLocks, State, locate, pid_file, read_last_good

ONCE_LOCK_SECONDS = 60.0
"""How long `-once` waits for another `-once` to leave the state directory that they share."""

COLLECT_AFTER = 50_000
"""New containers between two looks for reference cycles, of which there are few here; Python's own figure is 700."""


def run(load: Callable[[], Settings]) -> int:
    """Run what the settings say and return the exit code. `load` is called again at SIGHUP.

    Raises ConfigError and StateBusyError before anything is touched.
    """

    async def main() -> int:
        asyncio.get_running_loop().set_default_executor(Threads())
        return await _run(load)

    return asyncio.run(main())


class Threads(ThreadPoolExecutor):
    """Worker threads that the end does not wait for: what hangs in one cannot be cancelled."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work, and wait for none."""
        super().shutdown(wait=False, cancel_futures=True)


async def _run(load: Callable[[], Settings]) -> int:
    gc.disable()  # until all is loaded (`ready.py`): to look through what only grows takes an eighth of a start
    gc.set_threshold(COLLECT_AFTER)
    settings = load()
    with Log(level=settings.log_level, json=settings.log_format == "json") as emit, Signals() as signals:
        for warning in (*settings.warnings, *_warnings_on_commands(settings)):
            emit(Warned(message=warning))
        catalogs = functools.partial(_open_catalogs, emit=emit)
        hub = Hub(catalogs(settings), emit=emit)
        shared = settings.once and settings.state_dir is None
        path = locate(settings.state_dir, os.environ)
        if settings.dry:
            kept = path / "once" if shared and read_last_good(path) is None else path
            return await show_differences(
                settings, hub=hub, kept=kept, signals=signals, environ=os.environ, emit=emit.at_once
            )
        lock_wait = ONCE_LOCK_SECONDS if shared else 0.0
        with (
            State(path / "once" if shared else path, lock_wait=lock_wait) as state,
            DestinationLocks() as locks,
            pid_file(settings.pid_file),
        ):
            daemon = Daemon(
                settings,
                load=load,
                hub=hub,
                catalogs=catalogs,
                state=state,
                locks=locks,
                signals=signals,
                notifier=Notifier(os.environ),
                environ=os.environ,
                log=emit,
            )
            return await daemon.run()


def _warnings_on_commands(settings: Settings) -> tuple[str, ...]:
    """Say once of each command which we cannot check or prove what that means."""
    commands = {t.command: t.check or settings.check for t in settings.templates if t.command is not None}
    return tuple(
        said for command, check in commands.items() if check is None and (said := unknown_command_warning(command))
    )


def _open_catalogs(settings: Settings, *, emit: Emit) -> Mapping[str, Catalog]:
    """Open every catalog that may be asked, by name. Raises ConfigError."""
    catalogs = {source.name: open_catalog(source, settings.consul, emit=emit) for source in settings.catalogs}
    return catalogs | {DISK: DiskCatalog(emit=emit)}
