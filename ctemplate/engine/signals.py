"""Signals, and the power to cut a template short.

Handlers are installed with `signal.signal`, not with the loop's own, because Python runs them in the
main thread even while a template keeps the loop from turning: only so can SIGTERM, or the time limit,
end a template that runs away.

    SIGTERM, SIGINT   first: end between transactions; second: end the running command too, and restore
    SIGHUP            read the configuration again
    SIGALRM           the time limit of one rendering
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

RENDER_SECONDS = 10.0
"""A template over 10,000 services takes 0.1 s; what takes a hundred times that never ends."""


class Interrupted(BaseException):
    """A rendering was cut short. Not an Exception, so that no template machinery swallows it."""


class Signals:
    """What signals asked for. Use as a context manager, in the main thread, inside the running loop."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.stopping = False
        """Set with `stop`, but at once, even while the loop does not turn."""
        self.reload = asyncio.Event()
        self.kill = threading.Event()
        """Set by the second SIGTERM: running commands end, their transactions restore."""
        self._rendering = False
        self._loop = asyncio.get_running_loop()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Signals:
        for number, handler in (
            (signal.SIGTERM, self._on_stop),
            (signal.SIGINT, self._on_stop),
            (signal.SIGHUP, self._on_reload),
            (signal.SIGALRM, self._on_alarm),
        ):
            self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def rendering(self, *, limit: float = RENDER_SECONDS) -> Iterator[None]:
        """Allow what is inside to be cut short by Interrupted: after `limit` seconds, or to stop."""
        self._rendering = True
        signal.setitimer(signal.ITIMER_REAL, limit)
        try:
            yield
        finally:
            self._rendering = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            self.kill.set()
        self.stopping = True
        self._loop.call_soon_threadsafe(self.stop.set)
        self._cut_short()

    def _on_reload(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self.reload.set)

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        self._cut_short()

    def _cut_short(self) -> None:
        if self._rendering:
            self._rendering = False
            raise Interrupted
