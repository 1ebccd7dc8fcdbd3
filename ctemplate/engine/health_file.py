"""The file that keepalived tracks (`health_file`): 0 for a balancer that is well, 1 for one that is ill.

It outlives the process on purpose. Whoever stops or restarts ctemplate has changed nothing about the load balancer,
so the last word stays, and the address where it is. What ill means is `health`'s to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from ctemplate.engine.health import Health
from ctemplate.engine.session import Session
from ctemplate.events import Emit, Event, Level, Warned

WELL, ILL = b"0\n", b"1\n"
RETRY_SECONDS = 5.0
"""After which a file that could not be written is tried again."""


class BalancerIll(Event, frozen=True, kw_only=True):
    """The file says 1 from now on."""

    level = Level.WARNING
    file: str
    templates: tuple[str, ...]
    """Those that are broken, rolled back, or made of data that are too old."""

    def text(self) -> str:
        """Why, and what follows."""
        return (
            f"{self.file} says 1: {', '.join(self.templates)}: broken or rolled back for too long, or data older than "
            "max_age; a keepalived that tracks this file prefers another balancer now"
        )


class BalancerWell(Event, frozen=True, kw_only=True):
    """The file says 0 again."""

    file: str

    def text(self) -> str:
        """What it says, and why."""
        return f"{self.file} says 0 again: no template is broken or rolled back, or too old"


class HealthFile:
    """Keeps the file at `path` current: at start, at every change, and when something has lasted too long."""

    def __init__(self, path: Path | None, *, session: Callable[[], Session], emit: Emit) -> None:
        """Without a path there is nothing to do; `session` returns the current one."""
        self._path = path
        self._session = session
        self._emit = emit
        self._news = asyncio.Event()
        self._failing = False
        self._too_old: frozenset[str] = frozenset()

    def note_ages(self, too_old: frozenset[str]) -> None:
        """Note which templates are made of data that are older than `max_age`."""
        if too_old != self._too_old:
            self._too_old = too_old
            self.wake()

    def wake(self) -> None:
        """There is a new outcome."""
        self._news.set()

    async def run(self) -> None:
        """Keep it current, for ever."""
        if self._path is None:
            return
        said = _read(self._path)
        health = Health(ill=said or False)
        while True:
            self._news.clear()
            runners, now = self._session().runners, time.monotonic()
            outcomes = {name: outcome for runner in runners for name, (outcome, _) in runner.outcomes.items()}
            ill = health.judge(
                outcomes, complete=all(runner.finished for runner in runners), too_old=bool(self._too_old), now=now
            )
            if ill != said and self._written(self._path, ill=ill):
                if ill:
                    self._emit(
                        BalancerIll(file=str(self._path), templates=tuple(sorted({*health.wrong, *self._too_old})))
                    )
                elif said:
                    self._emit(BalancerWell(file=str(self._path)))
                said = ill
            due = now + RETRY_SECONDS if ill != said else None if ill else health.due()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(0.0, due - time.monotonic())):
                    await self._news.wait()

    def _written(self, path: Path, *, ill: bool) -> bool:
        failed, self._failing = self._failing, False
        try:
            _write(path, ill=ill)
        except OSError as error:
            self._failing = True
            if not failed:
                self._emit(Warned(message=f"cannot write {path}: {error.strerror}; keepalived is not told"))
        return not self._failing


def _read(path: Path) -> bool | None:
    """Return whether the file says ill; None where it says nothing that we write."""
    try:
        return {WELL: False, ILL: True}.get(path.read_bytes())
    except OSError:
        return None


def _write(path: Path, *, ill: bool) -> None:
    """Replace the file as a whole, readable by all. It is not synced: /run is its place."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(ILL if ill else WELL)
    part.chmod(0o644)
    part.replace(path)
