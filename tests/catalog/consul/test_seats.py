"""A watch that is moved while it waits, and moved again before it noticed; and one that ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref

import pytest

from ctemplate.catalog.consul.arranging import Way
from ctemplate.catalog.consul.seats import Moved, Seat
from ctemplate.model import Kind, Query


async def slow_to_end():
    try:
        await asyncio.Event().wait()
    finally:
        for _ in range(5):
            await asyncio.sleep(0)


def test_a_seat_that_is_moved_twice_wakes_whoever_waits_once():
    async def story():
        seat = Seat(Query(kind=Kind.SERVICE, name="web"), Way.OWN)
        waiting = asyncio.create_task(seat.until_moved(slow_to_end()))
        for way in (Way.CENSUS, Way.TURNS, Way.OWN):
            for _ in range(2):
                await asyncio.sleep(0)
            seat.move(way, gently=False)
        with pytest.raises(Moved):
            await waiting

    asyncio.run(story())


def test_a_watch_that_is_moved_goes_on_and_one_that_is_cancelled_as_well_ends():
    async def story(*, ends: bool):
        seat = Seat(Query(kind=Kind.SERVICE, name="web"), Way.OWN)

        async def watch():
            for _ in range(2):  # a move leaves nothing behind that would end the next wait
                with contextlib.suppress(Moved):
                    await seat.until_moved(asyncio.Event().wait())
            assert asyncio.current_task().cancelling() == 0
            return await seat.until_moved(asyncio.sleep(0, "the answer"))

        task = asyncio.create_task(watch())
        for way in (Way.CENSUS, Way.TURNS):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seat.move(way, gently=False)
        if ends:
            task.cancel()
        return await task

    assert asyncio.run(story(ends=False)) == "the answer"
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(story(ends=True))


def test_a_watch_that_is_cancelled_leaves_nothing_that_only_a_collection_would_find():
    async def story():
        seat = Seat(Query(kind=Kind.SERVICE, name="web"), Way.OWN)
        waiting = asyncio.create_task(seat.until_moved(slow_to_end()))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        gone = weakref.ref(waiting)
        del waiting
        await asyncio.sleep(0)
        assert gone() is None

    gc.disable()
    try:
        asyncio.run(story())
    finally:
        gc.enable()
