"""Who follows a service hears of its answers, of a refusal, and of the end of all, whoever else follows it."""

from __future__ import annotations

import asyncio
import contextlib
import traceback

import pytest

from ctemplate.catalog.consul.ledger import Ledger
from ctemplate.errors import Refused
from ctemplate.model import Answer, ServiceName

ONE, TWO = ServiceName("one", ()), ServiceName("two", ())


class Story:
    """A ledger, what it was told is wanted, and watches that wait."""

    def __init__(self):
        self.wanted = []
        self.ledger = Ledger(wanted=self.wanted.append, deserted=lambda: None)

    async def waiting(self, name="web"):
        async def follow():
            async for answer in self.ledger.follow(name):
                return answer

        task = asyncio.create_task(follow())
        await asyncio.sleep(0)
        return task

    async def busy(self, name):
        """A watch that has its first answer and does something with it, as the hub does that asks the leader."""
        watch = self.ledger.follow(name)
        first = asyncio.create_task(anext(watch))
        await asyncio.sleep(0)
        self.ledger.put(name.lower(), Answer((ONE,)))
        await first
        return watch


def end_by_a_bug(ledger):
    try:
        return {}["a bug"]
    except KeyError as fault:
        ledger.end(fault)
        raise


def test_all_who_follow_a_service_hear_that_it_is_refused():
    async def story():
        s = Story()
        watches = [await s.waiting() for _ in range(3)]
        s.ledger.refuse("web", Refused("no such token"))
        heard = await asyncio.gather(*watches, return_exceptions=True)
        assert [str(fault) for fault in heard] == ["no such token"] * 3

    asyncio.run(story())


def test_who_comes_after_a_refusal_has_it_read_again_also_beside_one_who_has_not_heard_of_it_yet():
    async def story():
        s = Story()
        busy = await s.busy("Web")
        s.ledger.refuse("web", Refused("no such token"))
        again = await s.waiting("web")
        assert s.wanted == ["web", "web"]
        s.ledger.put("web", Answer((TWO,)))
        assert await again == await anext(busy) == Answer((TWO,))

    asyncio.run(story())


def test_an_answer_ends_a_refusal_for_whoever_has_not_heard_of_it_yet():
    async def story():
        s = Story()
        busy = await s.busy("web")
        s.ledger.refuse("web", Refused("no such token"))
        s.ledger.put("web", Answer((TWO,)))
        assert await anext(busy) == Answer((TWO,))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(busy)

    asyncio.run(story())


def test_a_refusal_of_what_nobody_follows_any_more_is_forgotten():
    async def story():
        s = Story()
        s.ledger.refuse("web", Refused("no such token"))
        watch = await s.waiting("web")
        s.ledger.put("web", Answer((ONE,)))
        assert await watch == Answer((ONE,))
        assert s.wanted == ["web"]

    asyncio.run(story())


def test_what_ends_all_has_in_each_watch_the_place_where_it_arose_once():
    async def story():
        s = Story()
        watches = [await s.waiting(f"s{number}") for number in range(20)]
        with contextlib.suppress(KeyError):
            end_by_a_bug(s.ledger)
        lengths = set()
        for watch in watches:
            try:
                await watch
            except KeyError as fault:
                lengths.add(len(traceback.extract_tb(fault.__traceback__)))
        assert len(lengths) == 1

    asyncio.run(story())
