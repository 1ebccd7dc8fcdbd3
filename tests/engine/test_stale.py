"""When old answers may stand in for those that a run does not have yet."""

from __future__ import annotations

import pytest

from ctemplate.engine.stale import StaleStart
from ctemplate.model import DISK, Answer, Failure, Kind, Missing, Query, Snapshot

WEB = Query(kind=Kind.SERVICE, name="web")
API = Query(kind=Kind.SERVICE, name="api")
TEXT = Query(catalog=DISK, kind=Kind.TEXT, name="/t")
OLD, NEW = Answer(()), Answer(())
AWAY = Failure(reason="away", refused=False, since=1.0)
DENIED = Failure(reason="403", refused=True, since=1.0)


@pytest.fixture
def start() -> StaleStart:
    return StaleStart({"/out": {WEB: OLD, API: OLD}}, written=7.0)


def missing(*queries: Query, template: str = "/out") -> Missing:
    return Missing(template=template, queries=frozenset(queries), keys=frozenset(), reads=frozenset(queries))


def test_old_answers_are_used_once_all_that_is_missing_has_failed(start):
    assert start.older(missing(WEB, API), Snapshot({}, {WEB: AWAY})) is None
    older = start.older(missing(WEB, API), Snapshot({}, {WEB: AWAY, API: AWAY}))
    assert older is not None
    assert older.answers == {WEB: OLD, API: OLD}


def test_what_this_run_knows_counts_before_what_was_kept(start):
    older = start.older(missing(WEB), Snapshot({API: NEW}, {WEB: AWAY}))
    assert older is not None
    assert older.answers[API] is NEW


@pytest.mark.parametrize(
    "lacking",
    [
        (missing(WEB), Snapshot({}, {WEB: DENIED})),
        (missing(WEB, template="/there"), Snapshot({}, {WEB: AWAY})),
        (missing(TEXT), Snapshot({}, {TEXT: AWAY})),
        (missing(), Snapshot({})),
    ],
    ids=["refused", "its file exists", "its own text", "a key that does not exist"],
)
def test_they_are_not_used_for(start, lacking):
    assert start.older(*lacking) is None


def test_what_is_stale_stays_so_until_everything_is_answered(start):
    assert start.use("/out")
    assert not start.use("/out")
    assert start.older(missing(WEB), Snapshot({}, {})) is not None
    assert start.end("/out")
    assert start.older(missing(WEB), Snapshot({}, {WEB: AWAY})) is None
    assert not start.end("/out")


def test_once_waits_for_no_failure_when_its_time_is_over(start):
    start.give_up()
    assert start.older(missing(WEB), Snapshot({}, {})) is not None
