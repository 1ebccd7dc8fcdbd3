"""When an answer on a service is held for older, or newer, than what polls told of checks."""

from __future__ import annotations

from ctemplate.catalog.consul.ailing import Ailing
from ctemplate.catalog.consul.marks import NODE, Ailments
from ctemplate.catalog.consul.records import status_of
from ctemplate.model import CRITICAL, PASSING, WARNING, Answer, Check, Instance

PATH = "/v1/health/state/critical"
ILL_NODE: Ailments = {("n1", NODE): frozenset({("disk", CRITICAL, "Disk", "")})}
ILL_SERVICE: Ailments = {("n1", "web"): frozenset({("http", WARNING, "HTTP", "w1")})}


def answer(*checks: Check) -> Answer:
    status = status_of(checks)
    return Answer(
        (Instance(id="w1", name="Web", address="10.0.0.1", port=80, node="n1", status=status, all_checks=checks),)
    )


WELL = answer(Check("disk", "Disk", PASSING), Check("http", "HTTP", PASSING))
ILL = answer(Check("disk", "Disk", CRITICAL), Check("http", "HTTP", WARNING))


def told(*ailments: Ailments, at: float = 10.0) -> Ailing:
    ailing = Ailing()
    for number, checks in enumerate(ailments):
        ailing.tell(f"{PATH}{number}", checks, now=at)
    return ailing


def test_what_agrees_is_never_read_again() -> None:
    for ailing, seen in ((told(ILL_NODE, ILL_SERVICE), ILL), (told({}), WELL), (told({}), Answer(()))):
        assert not ailing.outdated("web", seen, since=9.0)
        assert ailing.take_doubted() == set()


def test_an_answer_from_before_the_poll_is_read_again_at_once() -> None:
    """A node's check was critical, passed for a moment, and is critical again: the poll saw nothing of it."""
    assert told(ILL_NODE, ILL_SERVICE).outdated("web", WELL, since=9.0)
    assert told({}).outdated("web", ILL, since=9.0)


def test_an_answer_from_after_the_poll_is_read_again_when_a_poll_comes_back() -> None:
    ailing = told({})
    assert not ailing.outdated("web", ILL, since=10.0)
    assert ailing.take_doubted() == {"web"}
    assert ailing.take_doubted() == set(), "once"


def test_what_a_poll_tells_differs_from_what_it_told_before() -> None:
    ailing = told(ILL_NODE)
    assert ailing.tell(f"{PATH}0", ILL_SERVICE, now=11.0) == {("n1", NODE), ("n1", "web")}
    assert ailing.tell(f"{PATH}0", ILL_SERVICE, now=12.0) == set()


def test_a_poll_that_ended_tells_nothing_more() -> None:
    ailing = told(ILL_NODE)
    ailing.forget(f"{PATH}0")
    assert not ailing.outdated("web", WELL, since=9.0)


def test_what_does_not_pass_is_known_by_node() -> None:
    """So a node's answer says of each instance how it is, without its checks being read."""
    found = told(ILL_NODE).by_node(ILL_SERVICE)
    assert {node: {(c.check_id, c.status, c.service_id) for c in checks} for node, checks in found.items()} == {
        "n1": {("disk", CRITICAL, ""), ("http", WARNING, "w1")}
    }
