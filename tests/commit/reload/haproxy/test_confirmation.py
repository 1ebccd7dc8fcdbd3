"""The rule of confirmation, on answers that are made up."""

from __future__ import annotations

from ctemplate.commit.reload.haproxy.confirmation import Confirmation
from ctemplate.commit.reload.haproxy.master import Processes


def status(*newest: int, failed: int = 0, old: tuple[int, ...] = ()) -> Processes:
    return Processes(1, failed, {**dict.fromkeys(newest, 0), **dict.fromkeys(old, 1)})


def rule(*, failed: int = 0) -> Confirmation:
    return Confirmation(before=status(10, failed=failed), started=0.0, window=1.0)


def test_a_new_worker_that_stays_confirms() -> None:
    watched = rule()
    assert not watched.see(0.0, status(10))
    assert not watched.see(0.5, status(11, old=(10,)))
    assert watched.see(1.5, status(11, old=(10,)))


def test_the_worker_from_before_confirms_nothing() -> None:
    watched = rule()
    watched.see(0.0, status(10))
    assert not watched.see(9.0, status(10))


def test_somebody_elses_reload_starts_the_window_again() -> None:
    watched = rule()
    watched.see(0.0, status(11))
    assert not watched.see(1.0, status(12, old=(11,)))
    assert watched.see(2.0, status(12, old=(11,)))


def test_a_failed_reload_more_than_before_is_a_fault() -> None:
    watched = rule(failed=1)
    assert not watched.see(0.0, status(10, failed=1))
    assert watched.fault == ""
    assert not watched.see(0.5, status(failed=2, old=(10,)))
    assert "failed" in watched.fault


def test_a_failure_after_somebody_elses_good_reload_is_a_fault() -> None:
    watched = rule(failed=1)
    watched.see(0.0, status(11))
    watched.see(0.5, status(failed=1, old=(11,)))
    assert "failed" in watched.fault


def test_a_master_that_loads_for_long_is_no_fault() -> None:
    watched = rule()
    watched.see(0.0, status(11))
    watched.unheard(ended=False)
    assert watched.fault == ""
    assert not watched.see(6.0, status(11)), "the window starts again"


def test_a_master_that_ended_is_a_fault() -> None:
    watched = rule()
    watched.see(0.0, status(11))
    watched.unheard(ended=True)
    assert "ended" in watched.fault
