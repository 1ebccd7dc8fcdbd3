"""One kazoo client behind asyncio: questions with a deadline, and whether the session is there.

kazoo works in threads of its own, and a blocking call on a server that froze hangs without limit. So only its
`…_async` calls are used: their results and every watch come back to the event loop by `call_soon_threadsafe`. Nothing
here ever waits in a thread, and kazoo's recipes are not used: its `ChildrenWatch` dies for good, without a word, when
its path is deleted.

A session is `connected` or it is not; what ZooKeeper's clients call SUSPENDED means that nothing is known, and every
watch is dropped with it. A server that freezes is suspended after two thirds of `SESSION_SECONDS` and never lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import NoAuthError, NoNodeError
from kazoo.retry import KazooRetry

from ctemplate.catalog.credentials import Credentials
from ctemplate.errors import Refused, Unavailable

SESSION_SECONDS = 6.0
"""A server allows from two of its ticks (4 s, as shipped) on. We hold nothing that the end of a session would lose."""
CONNECT_SECONDS = 3.0
RENEW_SECONDS = 5.0
"""Without a connection for this long, a client is put away for a new one; we hold nothing that would be lost with it.

A server that came back empty, or from an older copy, refuses for ever whoever has seen more of its history.
"""
ANSWER_SECONDS = 10.0
"""For one question, or several that are asked together; longer than it takes to notice that a server froze."""
RETRY_SECONDS_MAX = 2.0
"""Between two attempts to reach any server: one client, so there is no herd to spread."""
STOP_SECONDS = 2.0
"""kazoo waits 10 s for the farewell of a server; its threads do not keep a process from ending."""

Wake = Callable[[str], None]
"""Called on the event loop with the path that a watch was for."""


class Session:
    """The session that all watches of one catalog share. It begins with the first question."""

    def __init__(self, hosts: str, base: str, *, credentials: Credentials | None) -> None:
        """`hosts`: `host:port,…`; `base`: the path that every path is below, without a slash at its end."""
        self.where = f"zookeeper://{hosts}{base}"
        self._hosts = hosts + base
        self._credentials = credentials
        self._shown = ""
        """The password that the server knows."""
        self._client: KazooClient | None = None
        self._begun = 0.0
        """When the client was made, in event-loop time."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._up = asyncio.Event()
        self._listeners: set[asyncio.Event] = set()
        self.number = 0
        """Changes whenever the connection is lost: watches set before are none any more."""

    @property
    def connected(self) -> bool:
        """Whether a server answered last."""
        return self._up.is_set()

    @contextlib.contextmanager
    def told_of_loss(self, event: asyncio.Event) -> Iterator[None]:
        """Set `event` whenever the connection is lost, for as long as the block lasts."""
        self._listeners.add(event)
        try:
            yield
        finally:
            self._listeners.discard(event)

    async def up(self) -> None:
        """Wait until a server answers, for ever."""
        while True:
            await self._begin()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RENEW_SECONDS):
                    await self._up.wait()
                    return
            self._renew()

    async def exists(self, path: str, wake: Wake | None = None) -> bool:
        """Tell whether there is a node; `wake` also when one is made there, which no other question can."""
        (stat,) = await self._ask("exists_async", [path], wake)
        return stat is not None

    async def children(self, paths: Sequence[str], wake: Wake | None = None) -> list[list[str] | None]:
        """Return the names of each node's children; None for a node that is not there."""
        return await self._ask("get_children_async", paths, wake)

    async def data(self, paths: Sequence[str], wake: Wake | None = None) -> list[bytes | None]:
        """Return what each node holds; None for a node that is not there."""
        return [found and (found[0] or b"") for found in await self._ask("get_async", paths, wake)]

    async def sync(self) -> None:
        """Let the server catch up with the leader, so that what is read next is not older than now."""
        await self._ask("sync_async", ["/"], None)

    async def login(self) -> None:
        """Show the password as it stands now, if it changed since it was shown last."""
        if self._credentials is not None and self._client is not None:
            password = await asyncio.to_thread(self._credentials.current)
            if password != self._shown:
                self._shown = password
                self._client.add_auth_async("digest", f"{self._credentials.user}:{password}")

    async def aclose(self) -> None:
        """End the session and kazoo's threads, without waiting long for a server that does not answer."""
        if ended := self._put_away():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await ended.wait()

    def _renew(self) -> None:
        """Put a client away that has had no connection for too long; the next question begins another."""
        now = asyncio.get_running_loop().time()
        if not self.connected and now - self._begun >= RENEW_SECONDS:
            self._put_away()

    def _put_away(self) -> asyncio.Event | None:
        """Let go of the client; what is returned is set when its threads have ended."""
        client, self._client = self._client, None
        self._up.clear()
        self._tell()
        if client is None:
            return None
        client.remove_listener(self._state_changed)
        ended = asyncio.Event()

        def stop() -> None:
            with contextlib.suppress(Exception):  # whatever it is: the client is on its way out
                client.stop()
                client.close()
            self._on_loop(ended.set)

        threading.Thread(target=stop, name="end a ZooKeeper session", daemon=True).start()
        return ended

    async def _begin(self) -> KazooClient:
        if self._client is None:
            self._loop = asyncio.get_running_loop()
            if self._credentials is not None:
                self._shown = await asyncio.to_thread(self._credentials.current)
        if self._client is None:  # else another question was faster
            self._client = KazooClient(
                hosts=self._hosts,
                timeout=SESSION_SECONDS,
                auth_data=[("digest", f"{self._credentials.user}:{self._shown}")] if self._credentials else None,
                read_only=False,  # a server without its majority would answer with what it last knew
                connection_retry=KazooRetry(max_tries=-1, delay=0.1, max_delay=RETRY_SECONDS_MAX),
                logger=_SILENT,
            )
            self._begun = asyncio.get_running_loop().time()
            self._client.add_listener(self._state_changed)
            self._client.start_async()
        return self._client

    async def _ask(self, method: str, paths: Sequence[str], wake: Wake | None) -> list[Any]:
        """Ask the same of every path, all at once, and return the answers; None where there is no node."""
        client = await self._begin()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._up.wait()
        except TimeoutError as fault:
            raise Unavailable(f"{self.where}: no server answers") from fault
        waiting = [self._send(client, method, path, wake) for path in paths]
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                results = [await future for future in waiting]
        except TimeoutError as fault:
            raise Unavailable(f"{self.where}: no answer in time") from fault
        return [self._value(path, result) for path, result in zip(paths, results, strict=True)]

    def _send(self, client: KazooClient, method: str, path: str, wake: Wake | None) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        watch = {"watch": lambda _: self._on_loop(wake, path)} if wake else {}
        getattr(client, method)(path, **watch).rawlink(lambda result: self._on_loop(_settle, future, result))
        return future

    def _value(self, path: str, result: Any) -> Any:
        """Return what kazoo was answered; an exception of its is ours from here on."""
        fault = result.exception
        if fault is None:
            return result.value
        if isinstance(fault, NoNodeError):
            return None
        where = f"{self.where.rstrip('/')}{path}"
        if isinstance(fault, NoAuthError):
            raise Refused(
                f"{where}: may not be read; the last answer is kept: let its ACL say digest:USER:HASH:r"
                " and set `user` and `password_file` of the catalog"
            ) from fault
        raise Unavailable(f"{where}: {type(fault).__name__}") from fault

    def _state_changed(self, state: str) -> None:
        """kazoo calls this in its own thread, which must not wait."""
        self._on_loop(self._note, state == KazooState.CONNECTED)

    def _note(self, connected: bool) -> None:
        if connected:
            self._up.set()
        else:
            self._up.clear()
            self._tell()

    def _tell(self) -> None:
        self.number += 1
        for event in self._listeners:
            event.set()

    def _on_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(call, *arguments)


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


_SILENT = logging.getLogger("ctemplate.kazoo")
"""kazoo tells of each attempt; the hub tells once."""
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
