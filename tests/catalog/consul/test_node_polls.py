"""What two polls a node tell the census, on a Consul that says what the test wants."""

from __future__ import annotations

import asyncio

from ctemplate.catalog.consul import node_polls
from ctemplate.catalog.consul.census import Census
from ctemplate.catalog.consul.client import Client
from ctemplate.catalog.consul.node_polls import NodePolls
from ctemplate.catalog.consul.node_reads import checks_on, services_on
from ctemplate.catalog.consul.opener import endpoints_of
from ctemplate.catalog.consul.questions import NODES
from ctemplate.catalog.http import Endpoint, Reply
from ctemplate.model import Answer, Check, Instance
from ctemplate.settings import Consul

BODIES = {
    NODES: b'[{"Node": "n1", "Address": "10.0.0.1"}]',
    services_on("n1"): b'{"Node": {"Node": "n1", "Address": "10.0.0.1"}, "Services": {}}',
    checks_on("n1"): b'[{"Node": "n1", "CheckID": "node", "Status": "critical"}]',
}


class Answers:
    """What each poll is answered, in the place of `parked`."""

    def __init__(self):
        self.queues = {path: asyncio.Queue() for path in BODIES}

    def say_again(self, *paths):
        for path in paths or BODIES:
            self.queues[path].put_nowait(Reply(Endpoint(), 200, {}, BODIES[path]))

    async def parked(self, client, path, params, **options):
        while True:
            yield await self.queues[path].get()


def polled(monkeypatch, story):
    """Run `story(census, answers, begin)` on a census that wants `web`; `begin()` polls anew. Nothing connects."""

    async def main():
        answers, polls = Answers(), []
        monkeypatch.setattr(node_polls, "parked", answers.parked)
        client = Client(endpoints_of("127.0.0.1:1", tls=False), Consul(), emit=lambda event: None)
        census = Census(client, max_stale=2.0, emit=lambda event: None)
        watch = asyncio.create_task(anext(census.ledger.follow("web")))

        async def begin():
            await end(*polls)
            answers.say_again()
            polls[:] = [asyncio.create_task(NodePolls(client, census, max_stale=2.0, fits_nodes=bool).run())]
            await turns()
            census.dirt.take()

        await begin()
        await story(census, answers, begin)
        await end(*polls, watch)

    asyncio.run(main())


async def end(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def turns():
    for _ in range(20):
        await asyncio.sleep(0)


def test_an_instance_that_came_and_went_between_two_equal_answers_of_a_poll_is_not_kept(monkeypatch):
    async def story(census, answers, begin):
        web = Answer((Instance(id="w", name="web", address="10.0.0.1", port=80, node="n1"),))
        census.put("web", web, sent=0.0, since=float("inf"))
        census.dirt.take()
        answers.say_again(services_on("n1"))
        await turns()
        assert "web" in census.dirt

    polled(monkeypatch, story)


def test_polls_that_begin_anew_tell_of_checks_that_are_as_they_were(monkeypatch):
    """The census has forgotten what polls told, and would doubt every answer on the node."""

    async def story(census, answers, begin):
        await begin()
        critical = Check("node", "", "critical")
        web = Instance(id="w", name="web", address="", port=80, node="n1", status="critical", all_checks=(critical,))
        assert not census.ailing.outdated("web", Answer((web,)), since=float("inf"))
        assert not census.ailing.take_doubted()

    polled(monkeypatch, story)
