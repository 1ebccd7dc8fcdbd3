"""Who follows a service hears of its answers, of a refusal, and of the end of all, whoever else follows it."""

from __future__ import annotations

import asyncio
import contextlib
import traceback

import pytest

from ctemplate.catalog.consul.ledger import Ledger
from ctemplate.errors import Refused
from ctemplate.model import Answer


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


def test_who_comes_back_after_a_refusal_has_it_read_again_also_beside_others():
    async def story():
        s = Story()
        first, other = await s.waiting("web"), await s.waiting("Web")
        s.ledger.refuse("web", Refused("no such token"))
        with pytest.raises(Refused):
            await first
        again = await s.waiting("web")
        assert s.wanted == ["web", "web"]
        s.ledger.put("web", Answer(()))
        assert await again == Answer(())
        with pytest.raises(Refused):
            await other

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
