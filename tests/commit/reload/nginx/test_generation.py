"""The rule of proof, on looks that are made up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ctemplate.commit.reload.nginx.generation import DESERTED_SECONDS, Generation

OLD = frozenset({(1, 1.0), (2, 1.0)})
WINDOW = 1.0


def looks(*serving: int, stopping: tuple[int, ...] = ()) -> dict[tuple[int, float], bool]:
    return {(pid, 1.0): pid in stopping for pid in (*serving, *stopping)}


def generation(expected: int = 2) -> Generation:
    return Generation(before=OLD, expected=expected, window=WINDOW)


def test_new_workers_that_stay_for_the_window_are_proof() -> None:
    rule = generation()
    assert not rule.see(0.0, looks(3, 4, stopping=(1, 2)))
    assert not rule.see(0.9, looks(3, 4, stopping=(1,)))
    assert rule.see(1.0, looks(3, 4, stopping=(1,)))


def test_the_window_begins_when_the_last_old_worker_stops_serving() -> None:
    rule = generation()
    rule.see(0.0, looks(1, 3, 4))
    rule.see(0.5, looks(3, 4))
    assert not rule.see(1.4, looks(3, 4))
    assert rule.see(1.5, looks(3, 4))


def test_too_few_new_workers_prove_nothing() -> None:
    rule = generation()
    rule.see(0.0, looks(3))
    assert not rule.see(9.0, looks(3))


def test_a_worker_that_is_replaced_starts_the_window_again() -> None:
    rule = generation()
    rule.see(0.0, looks(3, 4))
    assert not rule.see(0.75, looks(3, 5))
    assert not rule.see(1.5, looks(3, 5))
    assert rule.see(1.75, looks(3, 5))


def test_a_newer_generation_starts_the_window_again() -> None:
    rule = generation()
    rule.see(0.0, looks(3, 4))
    rule.see(0.5, looks(3, 4, 5, 6))
    rule.see(0.75, looks(5, 6, stopping=(3, 4)))
    assert not rule.see(1.5, looks(5, 6))
    assert rule.see(1.75, looks(5, 6))


def test_a_process_id_that_is_used_again_is_a_new_worker() -> None:
    rule = generation()
    again = {(1, 2.0): False, (2, 2.0): False}
    rule.see(0.0, again)
    assert rule.see(1.0, again)


def test_nobody_serving_for_long_is_a_failure_and_for_a_moment_is_none() -> None:
    rule = generation()
    rule.see(0.0, looks(stopping=(1, 2)))
    assert not rule.deserted(DESERTED_SECONDS / 2)
    assert rule.deserted(DESERTED_SECONDS)
    rule.see(DESERTED_SECONDS, looks(3))
    assert not rule.deserted(9.0)


def test_where_nobody_served_before_the_configuration_may_take_its_time() -> None:
    rule = Generation(before=frozenset(), expected=2, window=WINDOW)
    rule.see(0.0, looks())
    assert not rule.deserted(9.0)
    rule.see(9.0, looks(3, 4))
    rule.see(9.1, looks())
    assert rule.deserted(9.1 + 2 * DESERTED_SECONDS)


@given(
    st.lists(
        st.tuples(st.floats(0.01, 0.6), st.dictionaries(st.integers(1, 6), st.booleans(), max_size=4)), max_size=20
    ),
    st.integers(1, 2),
)
def test_whatever_is_seen_proof_means_one_complete_new_generation_for_the_whole_window(
    steps: list[tuple[float, dict[int, bool]]], expected: int
) -> None:
    rule = generation(expected)
    now = 0.0
    history: list[tuple[float, frozenset[int]]] = []
    for pause, workers in steps:
        now += pause
        serving = frozenset(pid for pid, stopping in workers.items() if not stopping)
        history.append((now, serving))
        proven = rule.see(now, {(pid, 1.0): stopping for pid, stopping in workers.items()})
        same_since = now
        for then, before in reversed(history):
            if before != serving:
                break
            same_since = then
        complete = len(serving) >= expected and not serving & {1, 2}
        assert proven == (complete and now - same_since >= WINDOW)
