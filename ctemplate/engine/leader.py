"""Asks the most authoritative place there is about what is held, and says when that releases it.

An answer may be wrong with status 200: a follower that has just started, an election. So a loss that is held is
confirmed by the catalog's leader when it begins, which is told, and again before it goes through, which decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from ctemplate.catalog.hub import Hub
from ctemplate.engine.guards import Guards, Hold
from ctemplate.errors import CatalogError, Unavailable
from ctemplate.model import Answer, Query
from ctemplate.render.guard import taken

ANSWER_SECONDS = 30.0
AT_ONCE = 4
"""Leader reads under way together: they take turns with the reads of all other queries."""


class Leader:
    """Asks about holds, each when it is due."""

    def __init__(self, guards: Guards, hub: Hub, *, released: Callable[[frozenset[Query]], None]) -> None:
        """`released` is called with the queries whose readers render differently from now on."""
        self._guards = guards
        self._hub = hub
        self._released = released
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look again: there may be new holds."""
        self._wake.set()

    async def run(self) -> None:
        """Ask, for ever."""
        while True:
            self._wake.clear()
            due = self._guards.next_ask()
            delay = None if due is None else max(0.0, due - time.monotonic())
            if delay:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
            elif delay is None:
                await self._wake.wait()
            else:
                await self.ask()

    async def ask(self) -> None:
        """Ask about everything that is due now, each query once."""
        holds = self._guards.to_ask(now=time.monotonic())
        slots = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            asked = {
                query: tasks.create_task(self._confirmed(query, slots), name=f"confirm {query}")
                for query in {query for hold in holds for query in hold.selection.queries}
            }
        released = {
            query
            for hold in holds
            if self._heard(hold, [asked[query].result() for query in hold.selection.queries])
            for query in hold.selection.queries
        }
        if released:
            self._released(frozenset(released))

    def _heard(self, hold: Hold, said: Sequence[Answer | CatalogError]) -> bool:
        """Take the leader's words on one hold; tells whether they release it."""
        now = time.monotonic()
        answers = [answer for answer in said if isinstance(answer, Answer)]
        if len(answers) < len(said):
            fault = next(each for each in said if isinstance(each, CatalogError))
            self._guards.leader_silent(hold, str(fault), now=now)
            return False
        return self._guards.leader_said(hold, taken(hold.selection, answers), now=now)

    async def _confirmed(self, query: Query, slots: asyncio.Semaphore) -> Answer | CatalogError:
        try:
            async with slots, asyncio.timeout(ANSWER_SECONDS):
                return await self._hub.confirm(query)
        except CatalogError as fault:
            return fault
        except TimeoutError:
            return Unavailable(f"no answer within {ANSWER_SECONDS:.0f} s")
        except Exception as fault:  # a fault in one catalog must not end the daemon
            return Unavailable(f"a fault in ctemplate itself: {type(fault).__name__}")
