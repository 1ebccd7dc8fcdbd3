"""What the census makes of two looks at the same node."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import msgspec
import pytest

from ctemplate.catalog.consul import marks
from ctemplate.catalog.consul.auditing import CALM_SECONDS, Audit
from ctemplate.catalog.consul.census import Census
from ctemplate.catalog.consul.client import Client
from ctemplate.catalog.consul.loading import read_all
from ctemplate.catalog.consul.opener import endpoints_of
from ctemplate.catalog.http import Reply
from ctemplate.events import Debugged, Warned
from ctemplate.model import Answer, Check, Instance
from ctemplate.settings import Consul

NONE = b"[]"
CRITICAL = b'[{"Node": "n1", "CheckID": "node", "Status": "critical"}]'
SERVICES = b'{"Node": {"Node": "n1", "Address": "10.0.0.1"}, "Services": {"w": {"ID": "w", "Service": "web"}}}'

NOTHING = b'{"Node": {"Node": "n1", "Address": "10.0.0.1"}, "Services": {}}'
NODES = b'[{"Node": "n1", "Address": "10.0.0.1"}]'
WEB = Answer((Instance(id="w", name="web", address="10.0.0.1", port=80, node="n1"),))


@contextlib.asynccontextmanager
async def wanted(name):
    """A census that is asked for one service and connects to nothing."""
    client = Client(endpoints_of("127.0.0.1:1", tls=False), Consul(), emit=lambda event: None)
    census = Census(client, max_stale=2.0, emit=lambda event: None)
    watch = asyncio.create_task(anext(census.ledger.follow(name)))
    await asyncio.sleep(0)
    census.see_nodes(marks.of_nodes(NODES), {})
    census.see_services("n1", SERVICES)
    yield census
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


def test_the_first_check_of_a_node_that_had_none_changes_every_service_on_it():
    async def story():
        async with wanted("web") as census:
            census.see_checks("n1", NONE)
            census.dirt.take()
            census.see_checks("n1", CRITICAL)
            assert "web" in census.dirt

    asyncio.run(story())


@pytest.mark.parametrize(("known", "marked"), [((), True), (("other",), True), (("web",), False)])
def test_the_first_look_at_a_node_marks_what_is_not_being_read_just_now(known, marked):
    """Services of a node that is made anew may be read before its check is there. Reading all is such a look, too."""

    async def story():
        async with wanted("web") as census:
            census.dirt.take()
            census.see_checks("n1", CRITICAL, known=frozenset(known))
            assert ("web" in census.dirt) is marked

    asyncio.run(story())


def test_an_instance_that_came_and_went_between_two_looks_is_not_kept():
    """Its service was read in between: the node looks as before, and the answer holds what is gone."""

    async def story():
        async with wanted("web") as census:
            census.see_services("n1", NOTHING)
            census.dirt.take()
            now = time.monotonic()
            census.put("web", WEB, sent=now, since=now)
            assert "web" not in census.dirt
            census.see_services("n1", NOTHING)
            assert "web" in census.dirt

    asyncio.run(story())


def test_an_instance_on_a_node_that_came_and_went_is_not_kept():
    async def story():
        async with wanted("web") as census:
            census.see_nodes({}, marks.of_nodes(NODES))
            census.dirt.take()
            now = time.monotonic()
            census.put("web", WEB, sent=now, since=now)
            census.see_nodes({}, {})
            assert "web" in census.dirt

    asyncio.run(story())


def test_an_answer_that_was_under_way_while_its_node_came_and_went_is_read_again():
    async def story():
        async with wanted("web") as census:
            before = time.monotonic() - 1
            census.see_nodes({}, marks.of_nodes(NODES))
            census.dirt.take()
            census.put(
                "web", Answer((msgspec.structs.replace(WEB.value[0], node="never-seen"),)), sent=before, since=before
            )
            assert "web" in census.dirt

    asyncio.run(story())


def test_an_answer_that_was_under_way_while_a_look_saw_its_instance_gone_is_read_again():
    async def story():
        async with wanted("web") as census:
            before = time.monotonic() - 1
            census.see_services("n1", NOTHING)
            census.dirt.take()
            census.put("web", WEB, sent=before, since=before)
            assert "web" in census.dirt

    asyncio.run(story())


@pytest.mark.parametrize(
    "read",
    [
        pytest.param((*WEB.value, msgspec.structs.replace(WEB.value[0], id="w2")), id="a second instance"),
        pytest.param(
            (msgspec.structs.replace(WEB.value[0], all_checks=(Check("new", "New", "passing"),)),), id="a check"
        ),
    ],
)
def test_what_came_and_went_between_two_equal_looks_is_not_kept(read):
    async def story():
        async with wanted("web") as census:
            census.see_checks("n1", NONE)
            census.dirt.take()
            now = time.monotonic()
            census.put("web", Answer(read), sent=now, since=now)
            census.see_services("n1", SERVICES)
            census.see_checks("n1", NONE)
            assert "web" in census.dirt

    asyncio.run(story())


def test_a_check_that_went_and_came_back_between_two_looks_is_not_lacking():
    """Its service was read in between, without it; what is back says the same as before, and is another check."""

    def checks(created):
        said = '[{"Node": "n1", "CheckID": "own", "ServiceID": "w", "ServiceName": "web", "Status": "passing", %s}]'
        return (said % f'"CreateIndex": {created}').encode()

    async def story():
        async with wanted("web") as census:
            census.see_checks("n1", checks(5))
            census.dirt.take()
            now = time.monotonic()
            census.put("web", WEB, sent=now, since=now)
            assert "web" not in census.dirt
            census.see_checks("n1", checks(9))
            assert "web" in census.dirt

    asyncio.run(story())


def test_a_node_that_was_gone_is_looked_at_as_if_it_were_new():
    async def story():
        async with wanted("web") as census:
            census.see_nodes({}, marks.of_nodes(NODES))
            census.see_nodes(marks.of_nodes(NODES), {})
            census.dirt.take()
            census.see_services("n1", SERVICES)
            assert "web" in census.dirt

    asyncio.run(story())


def test_what_was_looked_at_before_it_was_read_is_read_once():
    """Else the first change on a node would read every service there once more."""
    web = Answer(
        (msgspec.structs.replace(WEB.value[0], status="critical", all_checks=(Check("node", "", "critical"),)),)
    )

    async def story():
        async with wanted("web") as census:
            census.see_checks("n1", CRITICAL)
            census.told_of_checks("a node's", marks.checks(CRITICAL))
            census.dirt.take()
            now = time.monotonic()
            census.put("web", web, sent=now, since=now)
            census.see_services("n1", SERVICES)
            census.see_checks("n1", CRITICAL)
            assert "web" not in census.dirt

    asyncio.run(story())


@pytest.mark.parametrize("way", ["looked for", "being looked for", "nothing"])
def test_an_audit_warns_of_nothing_that_is_being_looked_for_anyway(monkeypatch, way):
    told = []

    async def story():
        async with wanted("web") as census:
            audit = Audit(census, told.append)
            now = time.monotonic()
            census.dirt.stirred = now - 10 * CALM_SECONDS
            if way != "nothing":
                census.dirt.mark_checks(now=now - 2 * CALM_SECONDS)
            if way == "being looked for":
                census.dirt.take_checks(now=now)

            async def read(names, *, by_node):
                audit.note("web")

            monkeypatch.setattr(census, "read", read)
            monkeypatch.setattr("ctemplate.catalog.consul.auditing.NEWS_SECONDS", 0.0)
            await audit.run(by_node=False)

    asyncio.run(story())
    assert [type(event) for event in told] == [Warned if way == "nothing" else Debugged]


def test_nothing_is_told_to_be_current_before_everything_is_followed():
    async def story():
        async with wanted("web") as census:
            census.dirt.take()
            census.dirt.read()
            census.heard["/v1/catalog/services"] = time.time()
            assert census.current_at() is None
            census.begun.set()
            assert census.current_at() == census.heard["/v1/catalog/services"]

    asyncio.run(story())


def test_while_a_change_is_not_read_all_are_as_old_as_what_was_before_it():
    """Where something changes all the time, something is always being read: no reason to say that all is old."""

    async def story():
        async with wanted("web") as census:
            census.begun.set()
            census.dirt.take()
            census.dirt.read()
            census.heard["/v1/catalog/services"] = time.time() + 60
            told = time.time()
            census.mark(("web",))
            census.dirt.take()
            assert told <= census.current_at() < told + 1
            census.dirt.read()
            assert census.current_at() == census.heard["/v1/catalog/services"]

    asyncio.run(story())


def test_who_comes_before_everything_is_followed_is_read_then_and_who_comes_later_at_once():
    async def story():
        async with wanted("web") as census:
            census.dirt.take()
            watches = [asyncio.create_task(anext(census.ledger.follow("early")))]
            await asyncio.sleep(0)
            assert "early" not in census.dirt
            census.begin()
            assert {"web", "early"} <= set(census.dirt.take())
            watches.append(asyncio.create_task(anext(census.ledger.follow("late"))))
            await asyncio.sleep(0)
            assert "late" in census.dirt
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    asyncio.run(story())


ODD = b'[{"Node": "n1", "CheckID": "own", "Status": "odd", "ServiceID": "w", "ServiceName": "web"}]'


def reply(body):
    return Reply(status=200, headers={}, body=body, endpoint="here")


def test_a_lean_census_answers_without_checks_until_somebody_looks_at_some():
    web = Answer((msgspec.structs.replace(WEB.value[0], all_checks=(Check("own", "", "passing"),)),))

    async def story():
        async with wanted("web") as census:
            census.lean = True
            census.dirt.take()
            now = time.monotonic()
            census.put("web", web, sent=now, since=now)
            assert census.ledger.answers["web"].value[0].all_checks is None
            assert "web" not in census.dirt
            census.read_checks()
            assert "web" in census.dirt, "it is read again, with them"
            census.put("web", web, sent=now, since=now)
            assert census.ledger.answers["web"] == web
            census.dirt.take()
            census.read_checks()
            assert "web" not in census.dirt, "once"

    asyncio.run(story())


def test_a_lean_answer_is_held_against_what_polls_told_of_checks():
    """What is left out of it was read all the same."""
    web = Answer(
        (msgspec.structs.replace(WEB.value[0], status="critical", all_checks=(Check("own", "", "critical"),)),)
    )

    async def story():
        async with wanted("web") as census:
            census.lean = True
            census.told_of_checks("critical", [])
            census.dirt.take()
            census.put("web", web, sent=time.monotonic(), since=0.0)
            assert "web" in census.dirt

    asyncio.run(story())


def test_a_check_of_a_status_that_nobody_tells_of_is_found_when_it_comes_and_when_it_goes():
    async def story():
        async with wanted("web") as census:
            census.lean = True
            census.told_untold(reply(NONE))
            census.dirt.take()
            for body in (ODD, NONE):
                census.told_untold(reply(body))
                assert "web" in census.dirt.take()
                census.told_untold(reply(body))
                assert "web" not in census.dirt

    asyncio.run(story())


def test_a_status_that_nobody_tells_of_is_not_kept_though_it_came_and_went_between_two_looks():
    """Its service was read in between."""
    web = Answer((msgspec.structs.replace(WEB.value[0], status="critical", all_checks=(Check("own", "", "odd"),)),))

    async def story():
        async with wanted("web") as census:
            census.lean = True
            census.told_untold(reply(NONE))
            census.dirt.take()
            now = time.monotonic()
            census.put("web", web, sent=now, since=now)
            assert "web" not in census.dirt
            census.told_untold(reply(NONE))
            assert "web" in census.dirt

    asyncio.run(story())


def test_nor_is_one_that_came_and_went_between_two_looks_at_a_node():
    """Where templates look at checks. The check was written, so that the two looks do not say the same."""
    check = {"Node": "n1", "CheckID": "own", "Status": "passing", "ServiceID": "w", "ServiceName": "web"}
    looks = [json.dumps([{**check, "ModifyIndex": index}]).encode() for index in (1, 3)]
    web = Answer((msgspec.structs.replace(WEB.value[0], status="critical", all_checks=(Check("own", "", "odd"),)),))

    async def story():
        async with wanted("web") as census:
            census.see_checks("n1", looks[0])
            census.dirt.take()
            now = time.monotonic()
            census.put("web", web, sent=now, since=now)
            assert "web" not in census.dirt
            census.see_checks("n1", looks[1])
            assert "web" in census.dirt

    asyncio.run(story())


@pytest.mark.parametrize("known", [False, True])
def test_a_load_answers_for_a_check_of_which_nobody_tells_if_it_was_known_before(monkeypatch, known):
    """Or, where many have one, it would be read again for ever."""
    bodies = {
        "/v1/catalog/node/n1": SERVICES.replace(b'"web"', b'"web", "Port": 80'),
        "/v1/health/state/any": ODD.replace(b'"n1"', b'"N1"').replace(b'"w"', b'"W"'),  # Consul takes any spelling
    }

    async def story():
        async with wanted("web") as census:
            census.lean = True
            census.indexes["/v1/catalog/services"] = 1
            if known:
                census.told_untold(reply(bodies["/v1/health/state/any"]))
            census.dirt.take()

            async def fresh(path, *_, **__):
                return reply(bodies[path])

            async def catch_up():
                return 1

            monkeypatch.setattr(census, "fresh", fresh)
            monkeypatch.setattr(census, "catch_up", catch_up)
            await read_all(census, {"web": time.monotonic()})
            assert ("web" in census.dirt) is not known
            assert [i.status for a in census.ledger.answers.values() for i in a.value] == ["critical"] * known

    asyncio.run(story())


# -- checks that bear the name which their service had ----------------------------------------------

ILL = Answer((msgspec.structs.replace(WEB.value[0], status="critical", all_checks=None),))
OLD_NAME = marks.Check("own", "critical", node="N1", service_id="W", service_name="before")


def test_a_check_that_goes_with_an_old_name_is_known_by_whom_it_made_ill():
    async def story():
        async with wanted("web") as census:
            census.told_of_checks("critical", [OLD_NAME])
            for answer, marked in ((ILL, True), (WEB, False)):
                census.note("web", answer, sent=time.monotonic())
                census.dirt.take()
                census.mark_checks({OLD_NAME})
                assert ("web" in census.dirt) is marked
            assert not census.ledger.with_ill({("n1", "another")})

    asyncio.run(story())


def test_one_that_goes_while_all_is_read_is_found_by_what_was_read(monkeypatch):
    async def story():
        async with wanted("web") as census:
            census.lean = True
            census.indexes["/v1/catalog/services"] = 1
            census.mark_checks(census.told_of_checks("critical", [OLD_NAME]))
            census.dirt.take()

            async def fresh(path, *_, **__):
                return reply(SERVICES.replace(b'"web"', b'"web", "Port": 80') if "/node/" in path else NONE)

            async def catch_up():
                census.mark_checks(census.told_of_checks("critical", []))
                return 1

            monkeypatch.setattr(census, "fresh", fresh)
            monkeypatch.setattr(census, "catch_up", catch_up)
            await read_all(census, {"web": time.monotonic()})
            assert [i.status for i in census.ledger.answers["web"].value] == ["critical"]
            assert "web" in census.dirt

    asyncio.run(story())
