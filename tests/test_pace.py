from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ctemplate.pace import Backoff, Cooldown, Settle, TokenBucket


def test_a_backoff_doubles_up_to_its_cap_and_starts_again_after_success():
    backoff = Backoff(1.0, 5.0, jitter=0)
    assert [backoff.next(random=0.5) for _ in range(5)] == [1, 2, 4, 5, 5]
    backoff.reset()
    assert backoff.next(random=0.5) == 1


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 20))
def test_a_backoff_never_waits_longer_than_its_cap(random: float, failures: int):
    backoff = Backoff(0.25, 60.0)
    delays = [backoff.next(random=random) for _ in range(failures + 1)]
    assert all(0 < delay <= 60.0 for delay in delays)


def test_a_lone_act_never_waits_and_a_storm_is_held_to_the_rate():
    bucket = TokenBucket(burst=2, per_second=10)
    assert [round(bucket.delay(now=0.0), 6) for _ in range(4)] == [0, 0, 0.1, 0.2]
    assert bucket.delay(now=10.0) == 0


def test_quiescence_fires_the_minimum_after_the_last_change():
    settle = Settle(1.0, 4.0)
    assert settle.due() is None
    settle.touch(now=0.0)
    settle.touch(now=0.5)
    assert settle.due() == 1.5


def test_quiescence_never_waits_longer_than_the_maximum_after_the_first_change():
    settle = Settle(1.0, 4.0)
    for tenth in range(60):
        settle.touch(now=tenth / 10)
    assert settle.due() == 4.0
    settle.take()
    settle.fired(now=4.0)
    assert settle.due() is None
    settle.touch(now=6.0)
    assert settle.due() == 7.0


def test_the_first_change_after_calm_fires_at_once():
    cooldown = Cooldown(2.0)
    cooldown.touch(now=5.0)
    assert cooldown.due() == 5.0


def test_changes_within_the_cooldown_wait_for_its_end_together():
    cooldown = Cooldown(2.0)
    cooldown.touch(now=0.0)
    cooldown.take()
    cooldown.fired(now=0.1)
    cooldown.touch(now=0.5)
    cooldown.touch(now=1.9)
    assert cooldown.due() == 2.1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_a_deferred_change_is_never_dropped_and_a_storm_is_never_a_fire_a_change(gaps: list[float]):
    cooldown, now, fired, pending = Cooldown(2.0), 0.0, [], False
    for gap in gaps:
        now += gap
        due = cooldown.due()
        if due is not None and due <= now:
            fired.append(due)
            cooldown.take()
            cooldown.fired(now=due)
            pending = False
        cooldown.touch(now=now)
        pending = True
    assert pending
    assert cooldown.due() is not None
    assert all(b - a >= 2.0 - 1e-9 for a, b in itertools.pairwise(fired))


def test_a_change_during_a_commit_waits_for_the_rest_and_is_not_lost():
    cooldown = Cooldown(2.0)
    cooldown.touch(now=0.0)
    cooldown.take()
    cooldown.touch(now=0.5)
    cooldown.fired(now=1.0)
    assert cooldown.due() == 3.0
