"""Reading all running containers of one engine, so that the engine's own end is never taken for theirs.

A stopping engine first closes its socket and then ends every container, telling of each. So a list is believed only
if a connection that was opened *after* it came is answered too: then no container had been ended for that reason
when the list was made (tried on 20.10: the socket goes 10 ms before the first container does).

Whatever event comes is a wake-up and says which container to look at again; of the others what was inspected before
stands, until all are inspected again. Events get lost: a reader that is too slow is skipped, and unpausing a
container whose health check failed meanwhile tells nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import msgspec

from ctemplate.catalog.docker.api import Api, shapeless
from ctemplate.catalog.docker.containers import Container, Listed, inspected, listed
from ctemplate.events import Debugged, Emit

FULL_SECONDS = 45.0
"""Between two readings of everything."""
INSPECT_AT_ONCE = 8
"""Measured on 20.10: more at once are no faster."""
IDLE_ACTIONS = (
    "exec_",
    "attach",
    "commit",
    "copy",
    "export",
    "resize",
    "top",
    "archive-path",
    "extract-to-dir",
    "create",
)
"""Of events that change nothing here; a health check alone is three `exec_` each time."""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What runs on one engine."""

    host: str
    """The name of its machine."""
    containers: Mapping[str, Container]
    """By id."""
    once_healthy: frozenset[str]
    """Ids of those whose present run has been healthy since it was first seen."""


class Engine:
    """One engine, read again and again. One reading at a time."""

    def __init__(self, api: Api, *, emit: Emit) -> None:
        self._api = api
        self._emit = emit
        self._host = ""
        self._known: dict[str, tuple[Listed, Container | None]] = {}
        self._dirty: set[str] = set()
        self._full_at = 0.0
        self._healthy: dict[str, str] = {}
        """Id to the beginning of the run that has been healthy; kept over the engine's restarts."""

    async def listen(self) -> AsyncIterator[None]:
        """Yield once when events are listened to, then at each that matters. Nothing known before stands."""
        await self._api.negotiate()
        async for event in self._api.events():
            if event is None:
                self._host = await self._api.host_name()
                self._known.clear()
                self._dirty.clear()
            elif event.action.startswith(IDLE_ACTIONS):
                continue
            else:
                self._dirty.add(event.container)
                self._emit(Debugged(message=f"docker: {event.type} {event.action} {event.container[:12]}"))
            yield

    def doubt(self) -> None:
        """Inspect every container at the next reading."""
        self._full_at = 0.0

    async def read(self) -> Running:
        """Return every running container. One that ends while it is read is left out; any other fault discards all."""
        now = asyncio.get_running_loop().time()
        if now >= self._full_at:
            self._known.clear()
            self._full_at = now + FULL_SECONDS
        dirty, self._dirty = self._dirty, set()
        reply = await self._api.running()
        try:
            entries = listed(reply.body)
        except msgspec.DecodeError as fault:
            raise shapeless(reply, "/containers/json", fault) from fault
        before, self._known = self._known, {}
        stale = []
        for entry in entries:
            then = before.get(entry.id)
            if then is None or then[0] != entry or entry.id in dirty:
                stale.append(entry)
            else:
                self._known[entry.id] = then
        gate = asyncio.Semaphore(INSPECT_AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for entry in stale:
                tasks.create_task(self._inspect(entry, gate), name=f"inspect {entry.id[:12]}")
        await self._api.ping()
        return self._running()

    async def _inspect(self, entry: Listed, gate: asyncio.Semaphore) -> None:
        async with gate:
            reply = await self._api.inspect(entry.id)
        if reply is None:
            return
        try:
            self._known[entry.id] = entry, inspected(reply.body)
        except msgspec.DecodeError as fault:
            raise shapeless(reply, f"/containers/{entry.id[:12]}/json", fault) from fault

    def _running(self) -> Running:
        containers = {id_: container for id_, (_, container) in sorted(self._known.items()) if container is not None}
        healthy = {id_: container.started for id_, container in containers.items() if container.health == "healthy"}
        still = {
            id_: started
            for id_, started in self._healthy.items()
            if id_ in containers and (containers[id_].health, containers[id_].started) == ("starting", started)
        }
        self._healthy = still | healthy
        return Running(host=self._host, containers=containers, once_healthy=frozenset(self._healthy))
