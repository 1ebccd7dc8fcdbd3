"""What happens next: everybody who waits for it is woken once."""

from __future__ import annotations

import asyncio


class Turn:
    """Wakes whoever waits whenever there is news. What happened before somebody waits does not wake them."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        """There is news."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Wait for the next news."""
        await self._event.wait()
