"""Time that passes as soon as nobody has anything to do, so that minutes of backoff are microseconds of a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest


class _VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Its clock stands still while there is work and then jumps to the next timer. For code that does no I/O."""

    _now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        timers = [timer.when() for timer in self._scheduled if not timer.cancelled()]
        if not self._ready and timers:
            self._now = max(self._now, min(timers))
        super()._run_once()


@pytest.fixture
def in_virtual_time() -> Callable[[Coroutine[Any, Any, None]], None]:
    """`in_virtual_time(story())` runs a coroutine to its end."""

    def run(story: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=_VirtualTimeLoop) as runner:
            runner.run(story)

    return run
