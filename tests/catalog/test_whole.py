"""One read that feeds every watch: what it owes the catalogs' contract, with a server made of a variable."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from ctemplate.catalog.whole import READS_AT_ONCE, Whole
from ctemplate.errors import Refused, Unavailable
from ctemplate.model import Answer, Kind, Query

A, B = Query(kind=Kind.KEY, name="a"), Query(kind=Kind.KEY, name="b")
SECONDS = 30.0


class Server:
    """Keys, and how reading them goes."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}
        self.fault: Exception | None = None
        self.reads = 0
        self.reading = self.listening = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.events: asyncio.Queue[Exception | None] = asyncio.Queue()

    async def read(self) -> dict[str, str]:
        self.reads += 1
        keys = dict(self.keys)
        self.reading += 1
        try:
            await self.gate.wait()
        finally:
            self.reading -= 1
        if self.fault is not None:
            raise self.fault
        return keys

    async def listen(self) -> AsyncIterator[None]:
        self.listening += 1
        try:
            yield
            while True:
                fault = await self.events.get()
                if fault is not None:
                    raise fault
                yield
        finally:
            self.listening -= 1

    def change(self, **keys: str) -> None:
        self.keys = keys
        self.events.put_nowait(None)


def select(keys: dict[str, str], query: Query) -> Answer:
    if query.kind is not Kind.KEY:
        raise Refused(f"{query} cannot be answered")
    return Answer(keys.get(query.name))


def whole(server: Server, *, listen: bool = True) -> Whole[dict[str, str]]:
    return Whole(server.read, answer=select, seconds=SECONDS, listen=server.listen if listen else None)


async def until(watch, value: str | None) -> Answer:
    async for answer in watch:
        if answer.value == value:
            return answer
    raise AssertionError("the watch ended")


def test_one_read_feeds_every_watch(in_virtual_time):
    async def story() -> None:
        server = Server()
        server.keys = {"a": "1", "b": "2"}
        source = whole(server)
        async with contextlib.aclosing(source.watch(A)) as a, contextlib.aclosing(source.watch(B)) as b:
            assert [answer.value for answer in await asyncio.gather(anext(a), anext(b))] == ["1", "2"]
            assert server.reads == 1
            server.change(a="1", b="3")
            await until(b, "3")
            assert server.reads == 2

    in_virtual_time(story())


def test_what_did_not_change_is_the_same_object_again(in_virtual_time):
    async def story() -> None:
        server = Server()
        server.keys = {"a": "1"}
        async with contextlib.aclosing(whole(server).watch(A)) as watch:
            first = await anext(watch)
            server.change(a="1", b="2")
            assert await anext(watch) is first

    in_virtual_time(story())


def test_what_changes_while_it_is_read_is_read_again(in_virtual_time):
    async def story() -> None:
        server = Server()
        server.gate.clear()
        async with contextlib.aclosing(whole(server).watch(A)) as watch:
            first = asyncio.create_task(anext(watch))
            while not server.reading:  # noqa: ASYNC110 - virtual time: it turns the loop
                await asyncio.sleep(0)
            server.change(a="new")
            await asyncio.sleep(0)
            server.gate.set()
            assert (await first).value is None
            await until(watch, "new")

    in_virtual_time(story())


def test_it_listens_before_it_reads(in_virtual_time):
    async def story() -> None:
        server = Server()
        order: list[str] = []

        async def listen() -> AsyncIterator[None]:
            order.append("listening begins")
            await asyncio.sleep(1)
            order.append("listening")
            yield
            await asyncio.Event().wait()

        async def read() -> dict[str, str]:
            order.append("read")
            return await server.read()

        source = Whole(read, answer=select, seconds=SECONDS, listen=listen)
        confirming = asyncio.create_task(source.confirm(A))
        await asyncio.sleep(0.5)
        source.wake()
        await confirming
        assert order == ["listening begins", "listening", "read"]

    in_virtual_time(story())


def test_without_any_wake_up_it_is_read_at_the_interval(in_virtual_time):
    async def story() -> None:
        server = Server()
        loop = asyncio.get_running_loop()
        async with contextlib.aclosing(whole(server, listen=False).watch(A)) as watch:
            await anext(watch)
            server.keys = {"a": "late"}
            began = loop.time()
            await until(watch, "late")
            assert SECONDS * 0.89 < loop.time() - began < SECONDS * 1.11

    in_virtual_time(story())


def test_a_storm_of_wake_ups_is_a_bounded_number_of_reads(in_virtual_time):
    async def story() -> None:
        server = Server()
        source = whole(server)
        async with contextlib.aclosing(source.watch(A)) as watch:
            await anext(watch)

            async def storm() -> None:
                for number in range(1000):
                    server.change(a=str(number))
                    await asyncio.sleep(0.001)

            storming = asyncio.create_task(storm())
            await until(watch, "999")
            await storming
            assert server.reads < READS_AT_ONCE + 15

    in_virtual_time(story())


@pytest.mark.parametrize("kind", [Unavailable, Refused])
def test_a_fault_of_the_read_is_raised_by_every_watch_and_no_answer_comes_of_it(in_virtual_time, kind):
    async def story() -> None:
        server = Server()
        server.keys = {"a": "1", "b": "2"}
        source = whole(server)
        a, b = source.watch(A), source.watch(B)
        await asyncio.gather(anext(a), anext(b))
        server.fault = kind("it said no")
        server.change()
        for watch in (a, b):
            with pytest.raises(kind, match="it said no"):
                await anext(watch)
        assert server.listening == 0
        server.fault = None
        server.keys = {"a": "back"}
        async with contextlib.aclosing(source.watch(A)) as again:
            assert (await anext(again)).value == "back"

    in_virtual_time(story())


def test_a_server_that_can_be_heard_no_longer_is_a_fault(in_virtual_time):
    async def story() -> None:
        server = Server()
        source = whole(server)
        async with contextlib.aclosing(source.watch(A)) as watch:
            await anext(watch)
            server.events.put_nowait(Unavailable("the stream broke off"))
            with pytest.raises(Unavailable, match="broke off"):
                await anext(watch)

    in_virtual_time(story())


def test_a_fault_of_our_own_reaches_every_watch_as_it_is(in_virtual_time):
    async def story() -> None:
        server = Server()
        server.fault = KeyError("a bug")
        async with contextlib.aclosing(whole(server).watch(A)) as watch:
            with pytest.raises(KeyError):
                await anext(watch)

    in_virtual_time(story())


def test_a_query_that_cannot_be_answered_fails_alone(in_virtual_time):
    async def story() -> None:
        server = Server()
        source = whole(server)
        async with contextlib.aclosing(source.watch(A)) as watch:
            await anext(watch)
            async with contextlib.aclosing(source.watch(Query(kind=Kind.NODES))) as other:
                with pytest.raises(Refused, match="cannot be answered"):
                    await anext(other)
            server.change(a="1")
            await until(watch, "1")

    in_virtual_time(story())


def test_many_watches_that_are_opened_anew_share_attempts(in_virtual_time):
    async def story() -> None:
        server = Server()
        server.fault = Unavailable("away")
        source = whole(server)

        async def attempt(delay: float) -> None:
            await asyncio.sleep(delay)
            async with contextlib.aclosing(source.watch(A)) as watch:
                with pytest.raises(Unavailable):
                    await anext(watch)

        await asyncio.gather(*(attempt(number / 1000) for number in range(1000)))
        assert server.reads < READS_AT_ONCE + 15

    in_virtual_time(story())


def test_confirm_waits_for_a_read_that_began_after_it(in_virtual_time):
    async def story() -> None:
        server = Server()
        source = whole(server)
        async with contextlib.aclosing(source.watch(A)) as watch:
            await anext(watch)
            server.gate.clear()
            source.wake()
            while not server.reading:  # noqa: ASYNC110 - virtual time: it turns the loop
                await asyncio.sleep(0)
            server.keys = {"a": "new"}  # that read has passed it already
            confirmed = asyncio.create_task(source.confirm(A))
            await asyncio.sleep(0)
            server.gate.set()
            assert (await confirmed).value == "new"

    in_virtual_time(story())


def test_confirm_needs_no_watch_and_leaves_nothing_running(in_virtual_time):
    async def story() -> None:
        server = Server()
        server.keys = {"a": "1"}
        assert (await whole(server).confirm(A)).value == "1"
        assert (server.listening, len(asyncio.all_tasks())) == (0, 1)

    in_virtual_time(story())


def test_the_last_watch_to_leave_frees_everything_also_in_the_middle_of_a_read(in_virtual_time):
    async def story() -> None:
        server = Server()
        source = whole(server)
        server.gate.clear()
        watching = [asyncio.create_task(anext(source.watch(query))) for query in (A, B)]
        while not server.reading:  # noqa: ASYNC110 - virtual time: it turns the loop
            await asyncio.sleep(0)
        watching[0].cancel()
        await asyncio.wait([watching[0]])
        assert (server.listening, server.reading) == (1, 1)
        watching[1].cancel()
        await asyncio.wait([watching[1]])
        assert (server.listening, server.reading, len(asyncio.all_tasks())) == (0, 0, 1)

    in_virtual_time(story())


def test_closing_ends_watches_that_are_open(in_virtual_time):
    async def story() -> None:
        server = Server()
        source = whole(server)
        async with contextlib.aclosing(source.watch(A)) as watch:
            await anext(watch)
            await source.aclose()
            with pytest.raises(Unavailable, match="closed"):
                await anext(watch)
        assert len(asyncio.all_tasks()) == 1

    in_virtual_time(story())
