"""Checks of a status that Consul does not document: which differ, and which answers are held for wrong."""

from __future__ import annotations

from ctemplate.catalog.consul import marks
from ctemplate.catalog.consul.untold import Untold
from ctemplate.model import Answer, Check, Instance

ODD = marks.Check(check_id="c", status="odd", node="N1", service_id="w1", service_name="Web")
NODES_OWN = marks.Check(check_id="c", status="odd", node="n1")


def answer(status: str = "odd") -> Answer:
    checks = (Check("c", "C", status),)
    return Answer((Instance(id="w1", name="Web", address="10.0.0.1", port=80, node="n1", all_checks=checks),))


def told(*checks: marks.Check, at: float = 10.0) -> Untold:
    untold = Untold()
    untold.tell(checks, now=at)
    return untold


def test_what_comes_and_what_goes_differs_and_documented_statuses_never_do() -> None:
    untold = Untold()
    documented = [marks.Check(check_id="c", status=status, node="n1") for status in ("passing", "warning", "critical")]
    assert untold.tell(documented, now=1.0) == set()
    assert untold.tell([ODD], now=2.0) == {("n1", "web")}
    assert untold.tell([ODD], now=3.0) == set()
    assert untold.tell([], now=4.0) == {("n1", "web")}


def test_an_answer_that_holds_what_is_known_is_right() -> None:
    for untold in (told(ODD), told(NODES_OWN)):
        assert not untold.outdated("web", answer(), since=9.0)
        assert untold.take_doubted() == set()
    assert not told().outdated("web", answer("critical"), since=9.0)


def test_one_from_before_the_last_look_that_holds_more_is_read_again_at_once() -> None:
    assert told().outdated("web", answer(), since=9.0)


def test_one_from_after_it_is_read_again_after_the_next_look() -> None:
    untold = told()
    assert not untold.outdated("web", answer(), since=11.0)
    assert untold.take_doubted() == {"web"}
    assert untold.take_doubted() == set(), "once"
