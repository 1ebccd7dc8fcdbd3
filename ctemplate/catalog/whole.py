"""One read of everything that feeds every watch, for catalogs whose server is cheapest asked as a whole.

A server is listened to first and read then, so that nothing between the two is missed; whatever it says while it is
listened to is a wake-up to read again, never a change to apply, because events get lost, doubled and reordered. A
read also happens at an interval, whatever was said or not. What the server is and how it is read is the catalog's.

All of it lasts from the first watch to the last: nothing runs while nobody watches.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

from ctemplate.catalog.ending import Ending
from ctemplate.errors import Unavailable
from ctemplate.model import Answer, Query
from ctemplate.pace import TokenBucket

State = TypeVar("State")

READS_PER_SECOND = 10.0
"""And attempts to listen, in the long run: however often the server wakes us, however many watches are opened anew."""
READS_AT_ONCE = 4
"""These never wait: to listen, to read, and to read again once or twice where one change wakes us several times."""
JITTER = 0.1
"""The share by which the interval is spread, so that many balancers do not ask at the same second."""


class Whole(Generic[State]):
    """The shared reading of one catalog.

    `read` returns everything, complete, or raises `CatalogError`. `answer` selects what one query asks for, and
    may raise `Refused`. `listen` yields once when it is listening and again at each wake-up, and raises when it
    hears no longer; without it there is only the interval and `wake`. `seconds` is that interval.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[State]],
        *,
        answer: Callable[[State, Query], Answer],
        seconds: float,
        listen: Callable[[], AsyncIterator[object]] | None = None,
    ) -> None:
        self._read = read
        self._answer = answer
        self._seconds = seconds
        self._listen = listen
        self._bucket = TokenBucket(burst=READS_AT_ONCE, per_second=READS_PER_SECOND)
        self._session: _Session[State] | None = None

    async def watch(self, query: Query) -> AsyncGenerator[Answer, None]:
        """Yield the answer to `query` after every read; what did not change is the same object, a sign of life.

        A fault of the reading is raised by every watch there is, once: opened anew they share the next attempt.
        """
        async with self._joined() as session:
            number = 0
            state: State | None = None
            answer: Answer | None = None
            while True:
                number, latest = await session.after(number)
                if answer is None or latest is not state:
                    state, selected = latest, self._answer(latest, query)
                    answer = selected if selected != answer else answer
                yield answer

    async def confirm(self, query: Query) -> Answer:
        """Answer from a read that began after this call."""
        async with self._joined() as session:
            begun = session.begun
            session.wake()
            _, state = await session.after(begun)
            return self._answer(state, query)

    def wake(self) -> None:
        """Read again: the server may hold something new. Nothing happens while nobody watches."""
        if self._session is not None:
            self._session.wake()

    async def aclose(self) -> None:
        """Stop reading; watches still open raise `Unavailable`."""
        if self._session is not None:
            await self._end(self._session, Unavailable("the catalog was closed"))

    @contextlib.asynccontextmanager
    async def _joined(self) -> AsyncIterator[_Session[State]]:
        """Take part in the session that runs, or begin one; the last to leave ends it and waits for its end."""
        session = self._session
        if session is None:
            session = self._session = _Session()
            # A task of its own rather than one of the hub's: it must outlive the watch that began it.
            session.task = asyncio.create_task(self._run(session), name="read a whole catalog")
        session.watches += 1
        try:
            yield session
        finally:
            session.watches -= 1
            if not session.watches:
                await self._end(session, Unavailable("nobody watches"))

    async def _end(self, session: _Session[State], fault: Exception) -> None:
        if self._session is session:
            self._session = None
        session.fail(fault)
        if session.task is not None and not session.task.done():
            session.task.cancel()
            await asyncio.wait([session.task])

    async def _run(self, session: _Session[State]) -> None:
        """Listen and read until something fails, and tell every watch of it."""
        try:
            await self._pace()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._heed(session), name="listen to a whole catalog")
                tasks.create_task(self._reread(session), name="reread a whole catalog")
        except Exception as fault:  # whatever it is, whoever watches must hear of it
            session.fail(fault)
        finally:
            if self._session is session:
                self._session = None

    async def _heed(self, session: _Session[State]) -> None:
        if self._listen is None:
            session.listening = True
            session.wake()
            return
        heard = self._listen()
        try:
            async for _ in heard:
                session.listening = True
                session.wake()
        finally:
            if isinstance(heard, AsyncGenerator):
                await heard.aclose()
        raise Unavailable("the server ended what it was listened to by")

    async def _reread(self, session: _Session[State]) -> None:
        await session.woken.wait()
        while True:
            await self._pace()
            session.woken.clear()
            session.begun += 1
            session.done(await self._read())
            wait = self._seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # jitter, no secret
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await session.woken.wait()

    async def _pace(self) -> None:
        await asyncio.sleep(self._bucket.delay(now=asyncio.get_running_loop().time()))


class _Session(Generic[State]):
    """One stretch of listening and reading, from its beginning to its first fault."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.watches = 0
        self.listening = False
        self.woken = asyncio.Event()
        self.begun = 0
        """The number of the last read that began."""
        self._latest: tuple[int, State] | None = None
        """The number of the last read that ended well, and what it found."""
        self._ended: Ending | None = None
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Read again; before it is listened, the first read is still to come anyhow."""
        if self.listening:
            self.woken.set()

    async def after(self, number: int) -> tuple[int, State]:
        """Return the latest read after `number`, waiting for it. Raises the fault that ended the session."""
        while self._latest is None or self._latest[0] <= number:
            if self._ended is not None:
                raise self._ended.again()
            await self._news.wait()
        return self._latest

    def done(self, state: State) -> None:
        """Note what a read found. What is equal stays the same object, so that no watch need select again."""
        if self._latest is not None and state == self._latest[1]:
            state = self._latest[1]
        self._latest = (self.begun, state)
        self._tell()

    def fail(self, fault: Exception) -> None:
        """Note what ended the session; the first counts."""
        self._ended = self._ended or Ending(fault)
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
