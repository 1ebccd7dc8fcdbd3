"""The hub against a catalog that answers, fails and stays silent by a script, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from ctemplate.catalog.doubt import says_less
from ctemplate.catalog.events import CatalogBack, CatalogLost, InstanceLeftOut, QueryFailed, QueryRecovered
from ctemplate.catalog.hub import Hub
from ctemplate.catalog.news import Update
from ctemplate.errors import CatalogError, Refused, Unavailable
from ctemplate.events import Event
from ctemplate.model import Answer, BadRecord, Instance, Kind, Node, NodeServices, Query

WEB = Query(kind=Kind.SERVICE, name="web")
API = Query(kind=Kind.SERVICE, name="api")
KEY = Query(kind=Kind.KEY, name="colour")

ONE, TWO, THREE = (
    Answer(tuple(Instance(id=f"i{n}", name="web", address="10.0.0.1", port=8000 + n) for n in range(count)))
    for count in (1, 2, 3)
)
DOWN = Unavailable("connection refused")
TOGETHER = 1e12
DENIED = Refused("403: the token needs service:read")


class Scripted:
    """A catalog that says what a test tells it to."""

    def __init__(self) -> None:
        self.said: dict[Query, asyncio.Queue[Answer | Exception]] = defaultdict(asyncio.Queue)
        self.opened: list[tuple[Query, float]] = []
        """Every attempt, with its time."""
        self.watched: list[Query] = []
        """Watches that are open now."""
        self.confirmed: list[Query] = []
        self.fault: CatalogError | None = None
        """What a read for certainty meets."""
        self.closed = False

    def say(self, query: Query, *items: Answer | Exception) -> None:
        for item in items:
            self.said[query].put_nowait(item)

    async def watch(self, query: Query) -> AsyncGenerator[Answer, None]:
        self.opened.append((query, asyncio.get_running_loop().time()))
        self.watched.append(query)
        try:
            while True:
                item = await self.said[query].get()
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.watched.remove(query)

    async def confirm(self, query: Query) -> Answer:
        self.confirmed.append(query)
        if self.fault:
            raise self.fault
        return ONE

    async def aclose(self) -> None:
        self.closed = True

    def describe(self) -> str:
        return "scripted://"

    def connections(self) -> int:
        return len(self.watched)

    def attempts(self, query: Query) -> list[float]:
        return [at for opened, at in self.opened if opened == query]


class Broken(Scripted):
    """A catalog with a bug."""

    async def watch(self, query: Query) -> AsyncGenerator[Answer, None]:
        self.opened.append((query, asyncio.get_running_loop().time()))
        raise KeyError("s3cret")
        yield ONE


class Bench:
    """A hub, the catalogs below it, and what it told."""

    def __init__(self, hub: Hub, catalog: Scripted, events: list[Event]) -> None:
        self.hub = hub
        self.catalog = catalog
        self.events = events

    async def until(self, happened: Callable[[Update], object]) -> Update:
        """The first update with which `happened` is true."""
        async with asyncio.timeout(3600):
            while True:
                update = await self.hub.next()
                if happened(update):
                    return update

    def told(self, *kinds: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kinds)]


@asynccontextmanager
async def bench(*wanted: Query, linger: float = 10.0, **others: Scripted) -> AsyncIterator[Bench]:
    events: list[Event] = []
    catalog = Scripted()
    hub = Hub({"default": catalog, **others}, emit=events.append, linger=linger)
    running = asyncio.create_task(hub.run())
    hub.want(set(wanted))
    try:
        yield Bench(hub, catalog, events)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def calm(seconds: float = 1.0) -> None:
    """Let virtual time pass."""
    await asyncio.sleep(seconds)


def test_an_answer_is_news_and_a_query_without_one_is_not_in_the_snapshot(in_virtual_time):
    async def story() -> None:
        async with bench(WEB, API) as b:
            b.catalog.say(WEB, ONE)
            update = await b.hub.next()
            assert update.changed == {WEB}
            assert update.snapshot.answers == {WEB: ONE}
            assert b.hub.snapshot.answers == {WEB: ONE}

    in_virtual_time(story())


def test_an_equal_answer_is_no_news_but_was_heard(in_virtual_time):
    async def story() -> None:
        async with bench(WEB, API) as b:
            b.catalog.say(WEB, ONE)
            await b.hub.next()
            before = b.hub.hearing().oldest({WEB})
            b.catalog.say(WEB, Answer(ONE.value))
            await calm()
            assert b.hub.hearing().oldest({WEB}) > before
            b.catalog.say(API, ONE)
            assert (await b.hub.next()).changed == {API}
            assert b.hub.hearing().oldest({KEY}) is None

    in_virtual_time(story())


class Sharing(Scripted):
    """A catalog whose watches are heard of together."""

    def heard(self) -> float:
        return TOGETHER

    def underway(self) -> str:
        return ""


@pytest.mark.parametrize("fault", [None, "fails", "is not shared", "is removed"])
def test_what_is_heard_of_together_makes_nothing_else_younger(in_virtual_time, fault):
    """However many are heard of together: one that fails, or is of a catalog of another kind, is as old as it is."""
    first = Query(catalog="shared", kind=Kind.SERVICE, name="web")
    late = Query(catalog="late", kind=Kind.SERVICE, name="api")
    catalogs = {"shared": Sharing(), "late": Scripted() if fault == "is not shared" else Sharing()}

    async def story() -> None:
        async with bench(first, late) as b:
            b.hub.replace(catalogs)
            for query in (first, late):
                catalogs[query.catalog].say(query, ONE)
            await calm()
            if fault == "fails":
                catalogs["late"].say(late, DOWN)
                await calm(0.1)
            elif fault == "is removed":
                b.hub.replace({"shared": catalogs["shared"]})
            oldest = [b.hub.hearing().oldest(order) for order in ((first, late), (late, first))]
            assert oldest[0] == oldest[1]
            assert (oldest[0] == TOGETHER) is (fault is None)

    in_virtual_time(story())


def test_a_burst_is_one_update_with_the_last_answers(in_virtual_time):
    async def story() -> None:
        async with bench(WEB, API) as b:
            b.catalog.say(WEB, ONE, TWO, THREE)
            b.catalog.say(API, ONE)
            update = await b.hub.next()
            assert update.changed == {WEB, API}
            assert update.snapshot.answers == {WEB: THREE, API: ONE}

    in_virtual_time(story())


@pytest.mark.parametrize("fault", [DOWN, DENIED])
def test_a_failure_keeps_the_last_answer_and_is_news_once(in_virtual_time, fault):
    async def story() -> None:
        async with bench(WEB, API) as b:
            b.catalog.say(WEB, ONE)
            await b.hub.next()
            b.catalog.say(WEB, fault, fault, fault)
            update = await b.hub.next()
            assert update.changed == {WEB}
            assert update.snapshot.answers == {WEB: ONE}
            failure = update.snapshot.failures[WEB]
            assert (failure.reason, failure.refused) == (str(fault), isinstance(fault, Refused))
            await calm(500)
            b.catalog.say(API, ONE)
            update = await b.hub.next()
            assert update.changed == {API}
            assert update.snapshot.failures[WEB].since == failure.since

    in_virtual_time(story())


def test_the_end_of_a_failure_is_news_even_with_an_equal_answer(in_virtual_time):
    async def story() -> None:
        async with bench(WEB) as b:
            b.catalog.say(WEB, ONE)
            await b.hub.next()
            b.catalog.say(WEB, DOWN)
            await b.hub.next()
            b.catalog.say(WEB, Answer(ONE.value))
            update = await b.hub.next()
            assert update.changed == {WEB}
            assert update.snapshot.failures == {}

    in_virtual_time(story())


def test_an_unavailable_query_is_tried_again_ever_more_slowly_up_to_a_minute(in_virtual_time):
    async def story() -> None:
        async with bench(WEB) as b:
            b.catalog.say(WEB, *[DOWN] * 14)
            await calm(600)
            attempts = b.catalog.attempts(WEB)
            pauses = [after - before for before, after in pairwise(attempts)]
            assert len(pauses) >= 12
            assert pauses[0] < 0.35
            assert 45 <= max(pauses) <= 60.001
            assert all(later > earlier for earlier, later in pairwise(pauses[:8]))

    in_virtual_time(story())


def test_a_refused_query_is_tried_again_only_slowly(in_virtual_time):
    async def story() -> None:
        async with bench(WEB) as b:
            b.catalog.say(WEB, *[DENIED] * 20)
            await calm(1200)
            attempts = b.catalog.attempts(WEB)
            pauses = [after - before for before, after in pairwise(attempts)]
            assert 22 <= pauses[0] <= 38
            assert max(pauses) <= 300.001
            assert len(attempts) <= 10

    in_virtual_time(story())


def test_a_success_starts_the_delays_anew(in_virtual_time):
    async def story() -> None:
        async with bench(WEB) as b:
            b.catalog.say(WEB, *[DOWN] * 10, ONE, DOWN)
            await calm(600)
            first, second = b.catalog.attempts(WEB)[-2:]
            assert second - first < 0.35

    in_virtual_time(story())


def test_retry_now_ends_every_delay(in_virtual_time):
    async def story() -> None:
        async with bench(WEB, API) as b:
            b.catalog.say(WEB, DENIED)
            b.catalog.say(API, *[DOWN] * 9)
            await calm(100)
            tried = len(b.catalog.attempts(API))
            b.hub.retry_now()
            b.catalog.say(WEB, ONE)
            before = asyncio.get_running_loop().time()
            await b.until(lambda update: WEB in update.snapshot.answers)
            assert asyncio.get_running_loop().time() == before
            assert len(b.catalog.attempts(API)) == tried + 1

    in_virtual_time(story())


def test_a_dropped_query_is_closed_after_the_linger_and_forgotten(in_virtual_time):
    async def story() -> None:
        async with bench(WEB, API, linger=10) as b:
            b.catalog.say(WEB, ONE)
            b.catalog.say(API, ONE)
            await b.hub.next()
            b.hub.want({API})
            await calm(9)
            assert set(b.catalog.watched) == {WEB, API}
            await calm(2)
            assert b.catalog.watched == [API]
            assert b.hub.snapshot.answers == {API: ONE}
            assert b.hub.hearing().oldest({WEB}) is None

    in_virtual_time(story())


def test_a_query_that_is_wanted_again_in_time_keeps_its_watch_and_its_answer(in_virtual_time):
    async def story() -> None:
        async with bench(WEB, linger=10) as b:
            b.catalog.say(WEB, ONE)
            await b.hub.next()
            b.hub.want(set())
            await calm(5)
            b.hub.want({WEB})
            await calm(20)
            assert b.hub.snapshot.answers == {WEB: ONE}
            assert len(b.catalog.attempts(WEB)) == 1

    in_virtual_time(story())


def test_a_query_that_fails_never_delays_another(in_virtual_time):
    async def story() -> None:
        async with bench(WEB, API) as b:
            b.catalog.say(API, *[DENIED] * 3)
            await b.hub.next()
            before = asyncio.get_running_loop().time()
            for answer in (ONE, TWO, THREE):
                b.catalog.say(WEB, answer)
                assert (await b.hub.next()).snapshot.answers == {WEB: answer}
            assert asyncio.get_running_loop().time() == before

    in_virtual_time(story())


def test_a_bug_in_one_catalog_is_a_failure_of_its_queries_and_of_no_other(in_virtual_time):
    async def story() -> None:
        other = Query(catalog="other", kind=Kind.SERVICES)
        async with bench(WEB, other, other=Broken()) as b:
            update = await b.until(lambda update: update.snapshot.failures)
            assert "KeyError" in update.snapshot.failures[other].reason
            assert "s3cret" not in update.snapshot.failures[other].reason
            await calm(30)
            b.catalog.say(WEB, ONE)
            assert WEB in (await b.until(lambda update: WEB in update.changed)).snapshot.answers

    in_virtual_time(story())


def test_a_watch_that_ends_by_itself_is_opened_again(in_virtual_time):
    class Ending(Scripted):
        async def watch(self, query: Query) -> AsyncGenerator[Answer, None]:
            self.opened.append((query, 0.0))
            yield ONE

    async def story() -> None:
        other, ending = Query(catalog="other", kind=Kind.SERVICES), Ending()
        async with bench(other, other=ending) as b:
            await b.until(lambda update: other in update.snapshot.failures)
            await calm(5)
            assert len(ending.opened) > 2
            assert b.hub.snapshot.answers[other] == ONE

    in_virtual_time(story())


def test_a_query_to_an_unknown_catalog_is_refused_and_names_those_there_are(in_virtual_time):
    async def story() -> None:
        async with bench(Query(catalog="east", kind=Kind.NODES), west=Scripted()) as b:
            update = await b.hub.next()
            (failure,) = update.snapshot.failures.values()
            assert failure.refused
            assert failure.reason == "no catalog is called 'east'; configured: default, west"
            assert len(b.told(QueryFailed)) == 1

    in_virtual_time(story())


def test_cancelling_the_hub_closes_every_watch_and_every_catalog(in_virtual_time):
    async def story() -> None:
        async with bench(WEB, API, KEY) as b:
            b.catalog.say(WEB, ONE)
            b.catalog.say(API, DOWN)
            await calm(0.1)
            assert set(b.catalog.watched) == {WEB, KEY}
        assert b.catalog.watched == []
        assert b.catalog.closed
        assert asyncio.all_tasks() == {asyncio.current_task()}

    in_virtual_time(story())


def test_news_is_not_lost_when_the_consumer_is_cancelled(in_virtual_time):
    async def story() -> None:
        async with bench(WEB) as b:
            waiting = asyncio.create_task(b.hub.next())
            await calm()
            b.catalog.say(WEB, ONE)
            await asyncio.sleep(0)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            assert (await b.hub.next()).changed == {WEB}

    in_virtual_time(story())


@pytest.mark.parametrize(
    ("answered", "words"),
    [([], "none of its 2 queries was answered yet, and files stay"), ([WEB], "the last answers of 1 of its 2 queries")],
)
def test_the_line_on_a_catalog_that_is_away_says_what_is_kept(in_virtual_time, answered, words):
    async def story() -> None:
        async with bench(WEB, API) as b:
            for query in answered:
                b.catalog.say(query, ONE)
            await calm()
            for query in (WEB, API):
                b.catalog.say(query, *[DOWN] * 6)
            await calm(10)
            (lost,) = b.told(CatalogLost)
            assert words in lost.text()

    in_virtual_time(story())


def test_a_catalog_that_goes_away_is_one_line_and_one_when_it_is_back(in_virtual_time):
    async def story() -> None:
        queries = [Query(kind=Kind.SERVICE, name=f"s{n}") for n in range(20)]
        async with bench(*queries) as b:
            for query in queries:
                b.catalog.say(query, ONE)
            await calm()
            (report,) = b.hub.reports()
            assert report.connected
            for query in queries:
                b.catalog.say(query, *[DOWN] * 6)
            await calm(10)
            (lost,) = b.told(CatalogLost, QueryFailed)
            assert isinstance(lost, CatalogLost)
            assert (lost.queries, lost.kept, lost.reason) == (20, 20, str(DOWN))
            (report,) = b.hub.reports()
            assert not report.connected
            assert len(report.failing) == 20
            for query in queries:
                b.catalog.say(query, ONE)
            await calm(120)
            (back,) = b.told(CatalogBack, QueryRecovered)
            assert isinstance(back, CatalogBack)
            assert back.queries == 20
            (report,) = b.hub.reports()
            assert report.connected
            assert (report.watches, report.connections, report.failing) == (20, 20, {})

    in_virtual_time(story())


def test_the_first_answer_of_a_catalog_that_was_away_wakes_the_other_queries(in_virtual_time):
    async def story() -> None:
        async with bench(WEB, API) as b:
            b.catalog.say(WEB, *[DOWN] * 30)
            b.catalog.say(API, *[DOWN] * 30)
            await calm(500)
            for query in (WEB, API):
                while not b.catalog.said[query].empty():
                    b.catalog.said[query].get_nowait()
                b.catalog.say(query, ONE)
            await b.until(lambda update: update.snapshot.answers)
            for _ in range(20):
                await asyncio.sleep(0)
            assert b.hub.snapshot.answers == {WEB: ONE, API: ONE}

    in_virtual_time(story())


def test_one_failing_query_among_good_ones_has_its_own_lines(in_virtual_time):
    async def story() -> None:
        async with bench(WEB, API, KEY) as b:
            for query in (WEB, API, KEY):
                b.catalog.say(query, ONE)
            await calm()
            b.catalog.say(API, *[DOWN] * 5)
            await calm(3)
            (failed,) = b.told(QueryFailed, CatalogLost)
            assert isinstance(failed, QueryFailed)
            assert (failed.query, failed.reason) == ("service(api)", str(DOWN))
            assert b.catalog.confirmed, "that the catalog is there was taken for granted"
            (report,) = b.hub.reports()
            assert report.connected
            b.catalog.say(API, ONE)
            await calm(60)
            (recovered,) = b.told(QueryRecovered, CatalogBack)
            assert isinstance(recovered, QueryRecovered)

    in_virtual_time(story())


def named(query: Query) -> Unavailable:
    return Unavailable(f'http://a/v1/health/service/{query.name}: 500: no "{query.name}"')


@pytest.mark.parametrize("fault_of", [lambda _: DOWN, named], ids=["the same words", "its own name in each"])
def test_many_that_fail_for_one_reason_among_good_ones_are_one_line(in_virtual_time, fault_of):
    many = [Query(kind=Kind.SERVICE, name=f"s{number:02}") for number in range(20)]

    async def story() -> None:
        async with bench(WEB, *many) as b:
            for query in (WEB, *many):
                b.catalog.say(query, ONE)
            await calm()
            for query in many:
                b.catalog.say(query, fault_of(query))
            await calm(3)
            (failed,) = b.told(QueryFailed, CatalogLost)
            assert isinstance(failed, QueryFailed)
            assert failed.others == 19
            assert failed.reason == str(fault_of(many[0]))
            assert " and 19 others have no current answer: " in failed.text()
            for query in many:
                b.catalog.say(query, ONE)
            await calm(3)
            (recovered,) = b.told(QueryRecovered, CatalogBack)
            assert isinstance(recovered, QueryRecovered)
            assert recovered.others == 19

    in_virtual_time(story())


def test_a_catalog_is_away_when_the_silent_queries_could_not_be_answered_either(in_virtual_time):
    async def story() -> None:
        async with bench(WEB, API) as b:
            b.catalog.say(WEB, ONE)
            b.catalog.say(API, ONE)
            await calm()
            b.catalog.fault = DOWN
            b.catalog.say(API, *[DOWN] * 5)
            await calm(3)
            assert [type(event) for event in b.told(QueryFailed, CatalogLost)] == [CatalogLost]

    in_virtual_time(story())


def test_a_query_that_failed_before_its_catalog_went_away_is_told_as_part_of_it(in_virtual_time):
    async def story() -> None:
        async with bench(WEB, API) as b:
            b.catalog.say(WEB, ONE)
            b.catalog.say(API, ONE, *[DOWN] * 9)
            await calm(3)
            b.catalog.fault = DOWN
            b.catalog.say(WEB, *[DOWN] * 9)
            await calm(30)
            b.catalog.say(WEB, ONE)
            b.catalog.say(API, ONE)
            await calm(120)
            kinds = [type(event) for event in b.told(QueryFailed, CatalogLost, CatalogBack, QueryRecovered)]
            assert kinds == [QueryFailed, CatalogLost, CatalogBack]

    in_virtual_time(story())


def test_a_watch_is_closed_when_what_is_told_of_its_answer_fails(in_virtual_time):
    async def story() -> None:
        def emit(event: Event) -> None:
            raise OSError("no space left on device")

        catalog = Scripted()
        hub = Hub({"default": catalog}, emit=emit)
        running = asyncio.create_task(hub.run())
        hub.want({WEB})
        catalog.say(WEB, Answer((), (BadRecord("web", "n1", "w1", "bad"),)))
        await hub.next()
        assert catalog.watched == []
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    in_virtual_time(story())


def test_a_failure_shorter_than_half_a_second_is_not_told(in_virtual_time):
    async def story() -> None:
        async with bench(WEB, API) as b:
            b.catalog.say(API, ONE)
            b.catalog.say(WEB, ONE, DOWN, TWO)
            await calm(30)
            assert b.told(QueryFailed, QueryRecovered, CatalogLost, CatalogBack) == []

    in_virtual_time(story())


def test_a_record_that_is_left_out_is_told_once_for_as_long_as_it_stays(in_virtual_time):
    async def story() -> None:
        bad = BadRecord("web", "n1", "w1", "port is outside 0–65535")
        async with bench(WEB) as b:
            b.catalog.say(WEB, Answer((), (bad,)), Answer(ONE.value, (bad,)), Answer(TWO.value, (bad,)))
            await calm()
            (event,) = b.told(InstanceLeftOut)
            assert event.text() == "service(web): w1 on node n1 is left out: port is outside 0–65535"
            b.catalog.say(WEB, ONE, Answer(ONE.value, (bad,)))
            await calm()
            assert len(b.told(InstanceLeftOut)) == 2

    in_virtual_time(story())


def test_replaced_catalogs_are_closed_and_asked_no_more_and_answers_are_kept(in_virtual_time):
    async def story() -> None:
        async with bench(WEB, API) as b:
            b.catalog.say(WEB, ONE)
            b.catalog.say(API, ONE)
            await b.hub.next()
            new = Scripted()
            new.say(WEB, TWO)
            b.hub.replace({"default": new})
            update = await b.hub.next()
            assert update.snapshot.answers == {WEB: TWO, API: ONE}
            await calm()
            assert b.catalog.closed
            assert b.catalog.watched == []
            assert set(new.watched) == {WEB, API}

    in_virtual_time(story())


def test_a_catalog_that_stays_is_not_disturbed_by_a_replacement(in_virtual_time):
    async def story() -> None:
        async with bench(WEB) as b:
            b.catalog.say(WEB, ONE)
            await b.hub.next()
            b.hub.replace({"default": b.catalog, "new": Scripted()})
            await calm()
            assert len(b.catalog.opened) == 1
            assert not b.catalog.closed
            assert [report.name for report in b.hub.reports()] == ["default", "new"]

    in_virtual_time(story())


def test_less_than_before_right_after_a_failure_is_believed_only_from_the_leader(in_virtual_time):
    """A server that has just started answers with success before it has applied its log. The leader says ONE."""

    async def story() -> None:
        async with bench(WEB) as b:
            b.catalog.say(WEB, TWO, DOWN)
            await b.until(lambda update: WEB in update.snapshot.failures)
            b.catalog.say(WEB, Answer(()))
            update = await b.until(lambda update: WEB not in update.snapshot.failures)
            assert update.snapshot.answers[WEB] == ONE
            b.catalog.say(WEB, Answer(()), THREE)
            update = await b.until(lambda update: update.snapshot.answers[WEB] != ONE)
            assert update.snapshot.answers[WEB] == THREE
            assert b.catalog.confirmed == [WEB, WEB]

    in_virtual_time(story())


def test_less_than_before_is_no_answer_while_the_leader_cannot_be_asked(in_virtual_time):
    async def story() -> None:
        async with bench(WEB) as b:
            b.catalog.fault = DOWN
            b.catalog.say(WEB, TWO, DOWN, Answer(()))
            await calm(5)
            assert b.hub.snapshot.answers[WEB] == TWO
            assert WEB in b.hub.snapshot.failures

    in_virtual_time(story())


def test_less_than_before_is_believed_when_nothing_failed_for_a_while(in_virtual_time):
    async def story() -> None:
        async with bench(WEB) as b:
            b.catalog.say(WEB, TWO, DOWN, TWO)
            await calm(60)
            b.catalog.say(WEB, Answer(()))
            await b.until(lambda update: update.snapshot.answers[WEB] == Answer(()))
            assert b.catalog.confirmed == []

    in_virtual_time(story())


@pytest.mark.parametrize(
    ("old", "new", "less"),
    [
        (Answer("value"), Answer(None), True),
        (Answer("a long value"), Answer("b"), False),
        (Answer(None), Answer("value"), False),
        (TWO, ONE, True),
        (ONE, TWO, False),
        (Answer(NodeServices(Node(name="n"), TWO.value)), Answer(NodeServices(Node(name="n"))), True),
        (Answer(NodeServices(Node(name="n"))), Answer(None), True),
    ],
)
def test_what_says_less(old, new, less):
    assert says_less(new, old) == less
