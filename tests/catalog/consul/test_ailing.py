"""When an answer on a service is held for older, or newer, than what polls told of checks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ctemplate.catalog.consul import marks
from ctemplate.catalog.consul.ailing import Ailing
from ctemplate.catalog.consul.marks import NODE
from ctemplate.catalog.consul.records import status_of
from ctemplate.model import CRITICAL, PASSING, WARNING, Answer, Check, Instance

PATH = "/v1/health/state/critical"
ILL_NODE = marks.Check("disk", CRITICAL, node="N1", name="Disk")
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
    for number, told in enumerate([[check] for check in checks] or [[]]):
        ailing.tell(f"{PATH}{number}", told, now=at)
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
    assert ailing.tell(f"{PATH}0", [ILL_SERVICE], now=11.0) == {("n1", NODE), ("n1", "web")}
    assert ailing.tell(f"{PATH}0", [ILL_SERVICE], now=12.0) == set()


def test_a_poll_that_ended_tells_nothing_more() -> None:
    ailing = told(ILL_NODE)
    ailing.forget(f"{PATH}0")
    assert not ailing.outdated("web", WELL, since=9.0)


def test_what_does_not_pass_is_known_by_node() -> None:
    """So a node's answer says of each instance how it is, without its checks being read."""
    found = told(ILL_NODE, ILL_SERVICE).by_node(told(ODD, counts=marks.is_untold))
    assert {node: {(c.check_id, c.status, c.service_id) for c in checks} for node, checks in found.items()} == {
        "n1": {("disk", CRITICAL, ""), ("http", WARNING, "w1"), ("http", "odd", "w1")}
    }


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
