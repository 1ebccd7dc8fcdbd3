"""When a balancer is ill, by the outcomes of its templates and the time."""

from __future__ import annotations

import pytest

from ctemplate.changes import Broken, Committed, Proof, Rejected, RolledBack, Step, Unchanged
from ctemplate.engine.health import PATIENCE_SECONDS, Health

WELL = {"a": Committed(proof=Proof.NEW_WORKERS), "b": Unchanged()}
BACK = {**WELL, "b": RolledBack(step=Step.VERIFY, reason="x")}
BROKEN = {**WELL, "b": Broken(reason="x")}


def judged(health, outcomes, now, *, complete=True, too_old=False):
    return health.judge(outcomes, complete=complete, too_old=too_old, now=now)


def test_data_that_are_too_old_are_ill_at_once_and_no_longer_than_that():
    health = Health(ill=False)
    assert judged(health, WELL, 0.0, too_old=True)
    assert not judged(health, WELL, 1.0)
    assert judged(health, {}, 2.0, complete=False, too_old=True)
    assert judged(health, {}, 3.0, complete=False)


@pytest.mark.parametrize("wrong", [BACK, BROKEN])
def test_what_is_wrong_for_a_minute_is_ill_and_not_before(wrong):
    health = Health(ill=False)
    assert not judged(health, wrong, 100.0)
    assert health.due() == 100.0 + PATIENCE_SECONDS
    assert not judged(health, wrong, 159.9)
    assert judged(health, wrong, 160.0)
    assert health.wrong == ("b",)


def test_a_retry_that_fails_again_is_no_new_beginning():
    health = Health(ill=False)
    judged(health, BACK, 0.0)
    judged(health, {**WELL, "b": RolledBack(step=Step.RELOAD, reason="again")}, 30.0)
    judged(health, BROKEN, 45.0)
    assert judged(health, BACK, 60.0)


def test_what_is_mended_in_between_begins_anew():
    health = Health(ill=False)
    judged(health, BACK, 0.0)
    judged(health, WELL, 50.0)
    assert health.due() is None
    judged(health, BACK, 55.0)
    assert not judged(health, BACK, 60.0)


def test_it_is_well_again_only_when_nothing_is_wrong_and_everybody_had_an_outcome():
    health = Health(ill=False)
    judged(health, BACK, 0.0)
    assert judged(health, BACK, 60.0)
    assert judged(health, {"a": WELL["a"]}, 61.0, complete=False)
    assert judged(health, BACK, 62.0)
    assert not judged(health, WELL, 63.0)


def test_an_earlier_process_s_word_counts_until_everybody_had_an_outcome():
    health = Health(ill=True)
    assert judged(health, {}, 0.0, complete=False)
    assert judged(health, BACK, 1.0)
    assert not judged(health, WELL, 2.0)
    assert not judged(Health(ill=False), {}, 0.0, complete=False)


@pytest.mark.parametrize(
    "outcome",
    [
        Rejected(step=Step.CHECK, reason="both balancers see that"),
        Committed(proof=Proof.NONE),
        Committed(proof=Proof.NOT_RUNNING),
        Committed(proof=Proof.NO_COMMAND, pending="told nobody"),
    ],
)
def test_what_the_other_balancer_would_see_as_well_is_not_ill(outcome):
    health = Health(ill=False)
    judged(health, {"a": outcome}, 0.0)
    assert not judged(health, {"a": outcome}, 1000.0)
