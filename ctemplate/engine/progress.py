"""What is shown while many answers are awaited: a line that counts on a terminal, else one every few seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ctemplate.catalog.hub import Hub
from ctemplate.events import Notice
from ctemplate.model import Query
from ctemplate.observe.log import Log

LINE_SECONDS = 3.0
"""Between two lines in a log; what is done sooner says nothing, and what has not moved is not said again."""
TERMINAL_SECONDS = 0.2


async def show(hub: Hub, wanted: Callable[[], frozenset[Query]], *, log: Log, seconds: float | None = None) -> None:
    """Tell how many answers of those `wanted` have come, until all have or `seconds` are over."""
    said = ""
    try:
        async with asyncio.timeout(seconds):
            while True:
                await asyncio.sleep(TERMINAL_SECONDS if log.on_terminal else LINE_SECONDS)
                asked = wanted()
                if not asked:
                    continue
                text = how_far(hub, asked)
                if not text:
                    return
                if log.on_terminal:
                    log.draw(text)
                elif text != said:
                    log(Notice(message=text))
                said = text
    except TimeoutError:
        return
    finally:
        if log.on_terminal and said:
            log.draw("")


def how_far(hub: Hub, wanted: frozenset[Query]) -> str:
    """Say how many answers of those `wanted` have come, and what is read meanwhile; nothing once all have."""
    come = len(wanted & hub.snapshot.answers.keys())
    if come == len(wanted):
        return ""
    return "; ".join(filter(None, (f"{come} of {len(wanted)} answers have come", hub.underway())))
