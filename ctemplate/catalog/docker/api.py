"""Asking one Docker engine: its version, its list, one container, its events. What they mean is not known here."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from urllib.parse import quote

import msgspec

from ctemplate.catalog.http import Reply
from ctemplate.catalog.peers import Peers
from ctemplate.errors import CatalogError, Refused, Unavailable

READ_SECONDS = 10.0
NEWEST_VERSION = (1, 51)
"""The newest API that this was read against; a newer engine is asked for this one."""
LINE_BYTES_MAX = 1024 * 1024
"""An event is some hundred bytes and its container's labels."""

_FILTERS = quote('{"type":["container","network"]}')


class _AbsentError(Unavailable):
    """The engine knows no such container any more."""


class _Error(msgspec.Struct):
    message: str = ""


class _Info(msgspec.Struct, rename="pascal"):
    name: str


class _Actor(msgspec.Struct):
    id: str = msgspec.field(name="ID", default="")
    attributes: dict[str, str] = msgspec.field(name="Attributes", default_factory=dict)


class Event(msgspec.Struct):
    """Something that happened to a container or a network; podman says `died` for `die`."""

    action: str = msgspec.field(name="Action")
    actor: _Actor = msgspec.field(name="Actor")
    type: str = msgspec.field(name="Type")

    @property
    def container(self) -> str:
        """The id of the container that it is about."""
        return self.actor.attributes.get("container", "") if self.type == "network" else self.actor.id


class Api:
    """One engine, a connection a request."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._prefix = ""

    async def negotiate(self) -> None:
        """Settle the version that is spoken from now on, the older one of the engine's newest and ours."""
        reply = await self._ask("/_ping")
        said = reply.headers.get("api-version", "")
        try:
            version = min(tuple(map(int, said.split("."))), NEWEST_VERSION)
        except ValueError:
            raise Unavailable(
                f"{reply.endpoint}/_ping: no Api-Version in the answer: is this a Docker engine?"
            ) from None
        self._prefix = "/v" + ".".join(map(str, version))

    async def ping(self) -> None:
        """Raise `Unavailable` when the engine takes no new connection."""
        await self._ask("/_ping")

    async def host_name(self) -> str:
        """Return the name of the engine's machine."""
        reply = await self._ask(f"{self._prefix}/info")
        try:
            return msgspec.json.decode(reply.body, type=_Info).name
        except msgspec.DecodeError as fault:
            raise shapeless(reply, "/info", fault) from fault

    async def running(self) -> Reply:
        """Ask for the list of containers that run, paused ones among them."""
        return await self._ask(f"{self._prefix}/containers/json")

    async def inspect(self, container: str) -> Reply | None:
        """Ask for one container; None when there is no such one any more."""
        try:
            return await self._ask(f"{self._prefix}/containers/{quote(container, safe='')}/json")
        except _AbsentError:
            return None

    async def events(self) -> AsyncIterator[Event | None]:
        """Yield None when the engine is listened to, then what happens. Raises `Unavailable` at the end."""
        target = f"{self._prefix}/events?filters={_FILTERS}"
        async with self._peers.stream(target, timeout=READ_SECONDS) as (head, chunks):
            if head.status != 200:
                raise _refusal(Reply(head.endpoint, head.status, head.headers), "/events")
            yield None
            rest = b""
            async for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > LINE_BYTES_MAX:
                    raise Unavailable(f"{head.endpoint}/events: a line of more than {LINE_BYTES_MAX} bytes")
                for line in filter(bytes.strip, lines):
                    try:
                        yield msgspec.json.decode(line, type=Event)
                    except msgspec.DecodeError as fault:
                        raise shapeless(head, "/events", fault) from fault
        raise Unavailable(f"{head.endpoint}/events: the engine ended the stream; what was known is kept")

    async def _ask(self, target: str) -> Reply:
        try:
            reply = await self._peers.ask(target, timeout=READ_SECONDS)
        except Unavailable as fault:
            if isinstance(fault.__cause__, PermissionError):
                raise Refused(f"{fault}: this user may not use the socket (is it in the group docker?)") from fault
            raise
        if reply.status == 200:
            return reply
        raise _refusal(reply, target)


def shapeless(reply: Reply, target: str, fault: msgspec.DecodeError) -> Unavailable:
    """Say that an answer has not the shape of Docker's."""
    return Unavailable(f"{reply.endpoint}{target}: the answer has not the shape of Docker's ({fault})")


def _refusal(reply: Reply, target: str) -> CatalogError:
    said = ""
    with contextlib.suppress(msgspec.DecodeError):
        said = msgspec.json.decode(reply.body, type=_Error).message
    kind = {400: Refused, 401: Refused, 403: Refused, 404: _AbsentError}.get(reply.status, Unavailable)
    return kind(f"{reply.endpoint}{target}: {reply.status}{': ' if said else ''}{said}")
