"""The loop that keeps a registry equal to an engine: at every change of the engine, and every half minute.

It ends by SIGTERM and by nothing else, and ending takes nothing out of the registry. What it knows of the engine it
knows from the hub, which keeps the last answer while the engine is away; what it knows of the registry it reads each
time, so that an agent that lost its state, or somebody who meddled, is put right at the next turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Mapping
from typing import Protocol

from ctemplate.catalog.hub import Hub
from ctemplate.errors import CatalogError, Refused, Unavailable
from ctemplate.events import Debugged, Emit, Notice, Warned
from ctemplate.model import PASSING, Answer, Kind, NodeServices, Query
from ctemplate.pace import Backoff
from ctemplate.register.plan import Action, Deregister, LeaveAlone, Present, Register, Report, plan
from ctemplate.register.registration import Registration, registration

RECONCILE_SECONDS = 30.0
RETRY_SECONDS = (0.25, 15.0)
"""The first and the longest delay before the registry is tried again."""


class Registry(Protocol):
    """Where services are registered."""

    def describe(self) -> str:
        """Where it is."""
        ...

    async def address(self) -> str:
        """Return the address by which other machines reach this one. Raises `CatalogError`."""
        ...

    def holdable(self, wanted: Registration) -> Registration | None:
        """Return what of a registration it has room for; None: nothing of it, as it is now."""
        ...

    async def read(self) -> Mapping[str, Present]:
        """Return all that it holds, by id. Raises `CatalogError`."""
        ...

    async def do(self, action: Action) -> None:
        """Do one action. Raises `Refused` for this one, `Unavailable` for all."""
        ...

    def close(self) -> None:
        """Drop what is open; nothing is taken out."""
        ...


class Keeper:
    """Keeps `registry` equal to what the hub knows of the node `host`, which is this machine."""

    def __init__(self, hub: Hub, registry: Registry, *, host: str, adopt: bool, grace: float, emit: Emit) -> None:
        """`grace`: seconds for which nothing is deregistered after the engine was away."""
        self._hub = hub
        self._registry = registry
        self._host = host
        self._adopt = adopt
        self._grace = grace
        self._emit = emit
        self.query = Query(kind=Kind.NODE, name=host)
        self._away = False
        self._remove_at = 0.0
        """Event-loop time before which nothing is deregistered."""
        self._backoff = Backoff(*RETRY_SECONDS)
        self._lost = False
        self._told: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Reconcile for ever. Cancelled, it takes nothing back."""
        self._hub.want({self.query})
        loop = asyncio.get_running_loop()
        refresh_at = 0.0
        while True:
            wait = await self._reconcile(refresh=loop.time() >= refresh_at)
            if wait is None:
                now = loop.time()
                if now >= refresh_at:
                    refresh_at = now + RECONCILE_SECONDS
                wait = max(0.0, min(refresh_at, self._remove_at if self._remove_at > now else refresh_at) - now)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._hub.next()

    async def actions(self, *, refresh: bool = False) -> list[Action] | None:
        """Return what is to be done now; None while the engine has not answered yet. Raises `CatalogError`."""
        self._watch_engine()
        answer = self._hub.snapshot.answers.get(self.query)
        if answer is None:
            return None
        wanted = self._wanted(answer)
        return plan(
            wanted,
            await self._registry.read(),
            owner=self._host,
            adopt=self._adopt,
            remove=not self._away and asyncio.get_running_loop().time() >= self._remove_at,
            refresh=refresh,
        )

    async def _reconcile(self, *, refresh: bool) -> float | None:
        """Make the registry agree. Returns how long to wait before the next attempt where that failed, else None."""
        try:
            for action in await self.actions(refresh=refresh) or ():
                await self._do(action)
        except CatalogError as fault:
            if not self._lost:
                self._emit(
                    Warned(message=f"{self._registry.describe()} is away: {fault}; nothing is changed meanwhile")
                )
            self._lost = True
            return self._backoff.next(random=random.random())  # noqa: S311  # jitter, no secret
        if self._lost:
            self._emit(Notice(message=f"{self._registry.describe()} is back"))
        self._lost = False
        self._backoff.reset()
        return None

    async def _do(self, action: Action) -> None:
        try:
            await self._registry.do(action)
        except Refused as fault:
            self._emit(Warned(message=f"could not {action}: {fault}; it is tried again"))
            return
        match action:
            case Register() | Deregister() | Report(changed=True):
                self._emit(Notice(message=f"done: {action}"))
            case LeaveAlone():
                self._say_once([str(action)])
            case Report():
                self._emit(Debugged(message=str(action)))

    def _wanted(self, answer: Answer) -> dict[str, Registration]:
        """Return what is to be registered. What is paused and has no check to say so is not."""
        if not isinstance(answer.value, NodeServices):
            raise Unavailable(f"the engine calls its machine otherwise than {self._host!r}: set -host")
        found = [
            registration(instance, owner=self._host)
            for instance in answer.value.services
            if instance.status == PASSING or instance.checks
        ]
        self._say_once([complaint for entry in found for complaint in entry.complaints])
        held = (self._registry.holdable(entry) for entry in found)
        return {entry.id: entry for entry in held if entry is not None}

    def _watch_engine(self) -> None:
        """Withhold deregistering from when the engine is away until `grace` after it is back."""
        away = self.query in self._hub.snapshot.failures
        if self._away and not away:
            self._remove_at = asyncio.get_running_loop().time() + self._grace
            self._emit(Notice(message=f"the engine is back: nothing is deregistered for {self._grace:g}s"))
        self._away = away

    def _say_once(self, complaints: list[str]) -> None:
        for complaint in complaints:
            if complaint not in self._told:
                self._emit(Warned(message=complaint))
        self._told |= frozenset(complaints)
