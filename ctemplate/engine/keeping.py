"""Keeps the last known good over restarts (`kept.py` says how it is written down, `kept_changes.py` what of it).

It is written off the commits' path, in a thread and in small pieces, since the loop shares one interpreter with it.
What is damaged or of another version is ignored, and that is said.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from ctemplate.engine.guards import Guards
from ctemplate.engine.kept import Held, Known, decode
from ctemplate.engine.kept_changes import Changes
from ctemplate.events import Emit, Warned
from ctemplate.model import Basis
from ctemplate.settings import Settings
from ctemplate.state import State

LEAST_SECONDS = 10.0
"""Between two writings."""
REST = 100
"""How many times as long as a writing took is rested after it: it takes at most 1 % of the time."""
_NOTHING = -1
"""Written, as `Guards.changes` counts."""


def recall(raw: bytes | None, *, where: str, emit: Emit) -> Known:
    """Return what was kept, or nothing and a warning."""
    if raw is None:
        return Known({}, (), 0.0)
    try:
        return decode(raw)
    except (ValueError, LookupError, RecursionError) as error:  # msgspec's own errors are ValueErrors
        emit(
            Warned(
                message=f"{where} is ignored, because it is damaged or of another version ({error}): what was last "
                "committed is not known, so nothing is held before the next commit"
            )
        )
        return Known({}, (), 0.0)


class Keeping:
    """Writes the last known good when there is something new."""

    def __init__(self, guards: Guards, state: State, *, settings: Callable[[], Settings], emit: Emit) -> None:
        """`settings` returns those that hold now: SIGHUP may say anew what is sensitive."""
        self._guards = guards
        self._state = state
        self._settings = settings
        self._emit = emit
        self._changes = Changes()
        self._written = guards.changes
        self._failed = False
        self._news = asyncio.Event()
        self._writing: asyncio.Future[None] | None = None
        """A thread goes on writing when whoever waits for it is cancelled, and two must not write one file."""

    def wake(self) -> None:
        """Look whether there is something new."""
        if self._guards.changes != self._written:
            self._news.set()

    async def run(self) -> None:
        """Write what is new, at most every `LEAST_SECONDS`, for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            took = await self.save()
            await asyncio.sleep(max(LEAST_SECONDS, REST * took))
            if self._failed:
                self._news.set()

    async def save(self) -> float:
        """Write what is new, after what is being written, and return the seconds it took."""
        if self._writing is not None:
            await asyncio.wait([self._writing])
        if self._guards.changes == self._written:
            return 0.0
        self._written = self._guards.changes
        now = began = time.monotonic()
        bases = dict(self._guards.bases)
        holds = [(hold.template, hold.shrink, now - hold.began) for hold in self._guards.holds]
        settings = self._settings()
        with_keys = frozenset(t.name for t in settings.templates if settings.keep_keys and not t.sensitive)
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(None, self._write, bases, holds, with_keys)
        await asyncio.shield(self._writing)
        return time.monotonic() - began

    def _write(self, bases: Mapping[str, Basis], holds: list[Held], with_keys: frozenset[str]) -> None:
        changes, self._changes = self._changes, Changes()  # unless all of it is written, it is written anew
        try:
            if self._state.last_good_bytes() != changes.bytes:
                changes.forget()  # somebody removed it, or made it longer or shorter
            writing = changes.since(bases, holds, with_keys=with_keys)
            if writing.whole:
                self._state.write_last_good(writing.pieces)
            else:
                self._state.add_to_last_good(writing.pieces)
            self._failed, self._changes = False, changes
        except OSError as error:
            self._written = _NOTHING
            if not self._failed:
                self._emit(Warned(message=f"cannot keep what was committed in {self._state.path}: {error.strerror}"))
            self._failed = True
