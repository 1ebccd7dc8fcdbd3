"""When a start is over."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable

from ctemplate.engine.session import Session
from ctemplate.engine.turn import Turn

READY_SECONDS = 60.0
"""A catalog that is away at boot must not fail the unit: READY is said by then at the latest."""


async def until_ready(session: Callable[[], Session], *, turn: Turn) -> None:
    """Return when every group has had its outcome, or after `READY_SECONDS`; `session` returns the current one."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_SECONDS):
            while not session().finished:
                await turn.wait()
    gc.freeze()  # what was loaded by now lives long, and need not be looked through again
    gc.enable()
