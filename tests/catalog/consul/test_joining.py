"""Questions that several ask at the same moment go out once, and nobody's end takes the answer from another."""

import asyncio

import pytest

from ctemplate.catalog.consul.joining import Joining


class Asked:
    """A request that is answered when the test says so."""

    def __init__(self):
        self.begun = 0
        self.ended = 0
        self.answer = asyncio.get_running_loop().create_future()

    async def __call__(self):
        self.begun += 1
        try:
            return await asyncio.shield(self.answer)
        finally:
            self.ended += 1


async def waiting(joining, key, asked):
    task = asyncio.create_task(joining.ask(key, asked))
    await asyncio.sleep(0.01)
    return task


def test_the_same_question_goes_out_once():
    async def story():
        joining, asked = Joining(), Asked()
        both = [await waiting(joining, "q", asked) for _ in range(2)]
        asked.answer.set_result("news")
        assert await asyncio.gather(*both) == ["news", "news"]
        assert asked.begun == 1

    asyncio.run(story())


def test_another_question_and_a_later_one_go_out_by_themselves():
    async def story():
        joining, asked = Joining(), Asked()
        asked.answer.set_result("news")
        await asyncio.gather(joining.ask("q", asked), joining.ask("r", asked))
        await joining.ask("q", asked)
        assert asked.begun == 3

    asyncio.run(story())


def test_who_leaves_takes_the_answer_from_nobody():
    async def story():
        joining, asked = Joining(), Asked()
        first, second = [await waiting(joining, "q", asked) for _ in range(2)]
        first.cancel()
        await asyncio.wait([first])
        asked.answer.set_result("news")
        assert await second == "news"
        assert asked.begun == 1

    asyncio.run(story())


def test_the_last_who_leaves_ends_the_request_before_going():
    async def story():
        joining, asked = Joining(), Asked()
        both = [await waiting(joining, "q", asked) for _ in range(2)]
        for task in both:
            task.cancel()
        await asyncio.wait(both)
        assert asked.ended == 1
        again = await waiting(joining, "q", asked)
        assert asked.begun == 2
        again.cancel()

    asyncio.run(story())


def test_a_fault_is_everybody_s():
    async def story():
        joining, asked = Joining(), Asked()
        both = [await waiting(joining, "q", asked) for _ in range(2)]
        asked.answer.set_exception(OSError("gone"))
        for task in both:
            with pytest.raises(OSError, match="gone"):
                await task

    asyncio.run(story())
