"""When an answer on a service is held for older, or newer, than what polls told of checks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ctemplate.catalog.consul import marks
from ctemplate.catalog.consul.ailing import Ailing
from ctemplate.catalog.consul.records import status_of
from ctemplate.model import CRITICAL, PASSING, WARNING, Answer, BadRecord, Check, Instance

PATH = "/v1/health/state/critical"
ILL_NODE = marks.Check("disk", CRITICAL, node="N1", name="Disk", service_name="db")
"""Consul takes a node's own check that bears the name of a service."""
ILL_SERVICE = marks.Check("http", WARNING, node="n1", name="HTTP", service_id="w1", service_name="Web")
ODD = marks.Check("http", "odd", node="N1", name="HTTP", service_id="w1", service_name="Web")


def answer(*checks: Check) -> Answer:
    status = status_of(checks)
    return Answer(
        (Instance(id="w1", name="Web", address="10.0.0.1", port=80, node="n1", status=status, all_checks=checks),)
    )


WELL = answer(Check("disk", "Disk", PASSING), Check("http", "HTTP", PASSING))
ILL = answer(Check("disk", "Disk", CRITICAL), Check("http", "HTTP", WARNING))


def told(*checks: marks.Check, at: float = 10.0, counts: Callable[[str], bool] = marks.is_told) -> Ailing:
    """By a poll each."""
    ailing = Ailing(counts)
    for number, said in enumerate([[check] for check in checks] or [[]]):
        ailing.tell(f"{PATH}{number}", said, now=at)
    return ailing


def test_what_agrees_is_never_read_again() -> None:
    for ailing, seen in ((told(ILL_NODE, ILL_SERVICE), ILL), (told(), WELL), (told(), Answer(()))):
        assert not ailing.outdated("web", seen, since=9.0)
        assert ailing.take_doubted() == set()


def test_an_answer_from_before_the_poll_is_read_again_at_once() -> None:
    """A node's check was critical, passed for a moment, and is critical again: the poll saw nothing of it."""
    assert told(ILL_NODE, ILL_SERVICE).outdated("web", WELL, since=9.0)
    assert told().outdated("web", ILL, since=9.0)


def test_an_answer_from_after_the_poll_is_read_again_when_a_poll_comes_back() -> None:
    ailing = told()
    assert not ailing.outdated("web", ILL, since=10.0)
    assert ailing.take_doubted() == {"web"}
    assert ailing.take_doubted() == set(), "once"


def test_what_a_poll_tells_differs_from_what_it_told_before() -> None:
    ailing = told(ILL_NODE)
    assert ailing.tell(f"{PATH}0", [ILL_SERVICE], now=11.0) == {ILL_NODE, ILL_SERVICE}
    assert ailing.tell(f"{PATH}0", [ILL_SERVICE], now=12.0) == set()


def test_a_poll_that_ended_tells_nothing_more() -> None:
    ailing = told(ILL_NODE)
    ailing.forget(f"{PATH}0")
    assert not ailing.outdated("web", WELL, since=9.0)


def test_what_does_not_pass_is_known() -> None:
    """So a node's answer says of each instance how it is, without its checks being read."""
    assert told(ILL_NODE, ILL_SERVICE, ODD).checks == {ILL_NODE, ILL_SERVICE}


# -- statuses that Consul does not document ---------------------------------------------------------


@pytest.mark.parametrize("counts", [marks.is_told, marks.is_untold])
def test_checks_of_statuses_that_do_not_count_are_passed_over(counts: Callable[[str], bool]) -> None:
    others = [check for check in (ILL_NODE, ILL_SERVICE, ODD) if not counts(check.status)]
    assert Ailing(counts).tell(PATH, [*others, marks.Check("own", PASSING, node="n1")], now=1.0) == set()
    ill = ILL if counts("odd") else answer(Check("http", "HTTP", "odd"))
    assert not told(counts=counts).outdated("web", ill, since=9.0), "nor is an answer held against them"


def test_a_status_that_is_not_documented_is_held_against_what_is_known_of_such() -> None:
    seen = answer(Check("http", "HTTP", "odd"))
    assert not told(ODD, counts=marks.is_untold).outdated("web", seen, since=9.0)
    assert told(counts=marks.is_untold).outdated("web", seen, since=9.0)
    assert told(ODD, counts=marks.is_untold).outdated("web", WELL, since=9.0)


# -- records that an answer does not have -----------------------------------------------------------


def without(answer: Answer, id: str) -> Answer:
    """As if the record of this id on the node had been left out."""
    return Answer(answer.value, (BadRecord(name="web", node="n1", id=id, reason="its port"),))


@pytest.mark.parametrize("seen", [without(WELL, "w2"), WELL], ids=["it was left out", "it is not there"])
def test_of_an_instance_that_an_answer_does_not_have_nothing_is_expected(seen: Answer) -> None:
    of_another = marks.Check("http", CRITICAL, node="n1", service_id="w2", service_name="web")
    ailing = told(of_another)
    assert not ailing.outdated("web", seen, since=9.0)
    assert ailing.take_doubted() == set()


def test_what_is_beside_a_record_that_was_left_out_is_held_against_what_was_told() -> None:
    assert told().outdated("web", without(ILL, "w2"), since=9.0)
    assert told(ILL_SERVICE).outdated("web", without(WELL, "w2"), since=9.0)


def test_a_check_is_its_instances_whatever_name_it_bears() -> None:
    """Consul leaves the name of a service on its checks until they are written again, whatever becomes of it."""
    of_old_name = marks.Check("http", WARNING, node="n1", service_id="W1", service_name="before")
    assert not told(ILL_NODE, of_old_name).outdated("web", ILL, since=9.0)
    assert told(ILL_NODE, of_old_name).outdated("web", WELL, since=9.0)
