"""Everything that is followed is read again now and then. What differs although no poll told so was missed: say so."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ctemplate.events import Debugged, Emit, Warned

if TYPE_CHECKING:
    from ctemplate.catalog.consul.census import Census

AUDIT_SECONDS = 600.0
"""Everything is read again so often, in case something was missed. It should find nothing, and says so if it does."""
CALM_SECONDS = 30.0
"""What an audit finds within so long of any news is put down to that."""
NEWS_SECONDS = 1.0
"""How long a poll may take to tell what a read knows already, before it counts as missed."""


class Audit:
    """The audits of one census."""

    def __init__(self, census: Census, emit: Emit) -> None:
        self._census = census
        self._emit = emit
        self._differing: set[str] | None = None
        """While everything is read again: the names that turned out to differ."""

    def note(self, name: str) -> None:
        """Note that a read of a service said something new."""
        if self._differing is not None:
            self._differing.add(name)

    async def run(self, *, by_node: bool) -> None:
        """Read everything again; what differs although nothing was heard to change was missed."""
        census, began = self._census, time.monotonic()
        self._differing = set()
        try:
            await census.read(dict.fromkeys(census.ledger.names, began), by_node=by_node)
            if by_node:
                await census.catch_up()
            else:
                await asyncio.sleep(NEWS_SECONDS)
            missed = self._differing
        finally:
            self._differing = None
        if missed and census.dirt.checks is None and census.dirt.stirred < began - CALM_SECONDS:
            some = ", ".join(sorted(missed)[:5])
            self._emit(
                Warned(
                    message=f"{len(missed)} services had changed and no poll of Consul told so: {some}; they are right "
                    "now. This should not happen: please report it with the version of Consul"
                )
            )
        else:
            self._emit(Debugged(message=f"read all {len(census.ledger)} services in {time.monotonic() - began:.1f}s"))
