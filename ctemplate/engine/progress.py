"""What `-once` shows while it waits for many answers: a line that counts on a terminal, else one every few seconds."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TextIO

from ctemplate.events import Emit, Notice

LINE_SECONDS = 3.0
"""Between two lines in a log; what is done sooner says nothing."""
TERMINAL_SECONDS = 0.2


async def show(counts: Callable[[], tuple[int, int]], *, emit: Emit, stream: TextIO = sys.stderr) -> None:
    """Tell how many answers of how many have come, as `counts` says, until all have. Ends when cancelled, too."""
    terminal = stream.isatty()
    drawn = False
    try:
        while True:
            await asyncio.sleep(TERMINAL_SECONDS if terminal else LINE_SECONDS)
            come, all_ = counts()
            if all_ and come >= all_:
                return
            if not terminal:
                emit(Notice(message=f"{come} of {all_} answers have come"))
            elif all_:
                stream.write(f"\r{come} of {all_} answers have come")
                stream.flush()
                drawn = True
    finally:
        if drawn:
            stream.write("\r\x1b[K")
            stream.flush()
