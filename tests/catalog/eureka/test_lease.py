"""When an instance that is listed no more is believed to be gone, in virtual time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ctemplate.catalog.eureka.lease import Lease, merged
from ctemplate.catalog.eureka.records import Registered
from ctemplate.model import Instance

NEW = Lease(seconds=90, gap_seconds=45)


def listed(*ids: str, updated: int = 0):
    return {("web", id): Registered(Instance(id=id, name="web", address="10.0.0.1", port=80), updated) for id in ids}


def told(lease: Lease, *answers: tuple[float, str]) -> Lease:
    """`lease` after an answer at each moment, which lists an instance for each letter."""
    for now, ids in answers:
        lease = lease.after(listed(*ids), now=now)
    return lease


def held(lease: Lease) -> str:
    return "".join(sorted(id for _, id in lease.held))


def test_what_is_listed_is_held_at_once():
    lease = told(NEW, (0, "ab"), (30, "abc"))
    assert (lease.known, held(lease), lease.missing) == (True, "abc", {})


def test_what_is_missing_goes_after_one_lease():
    lease = told(NEW, (0, "ab"), (30, "a"), (60, "a"), (90, "a"), (119, "a"))
    assert held(lease) == "ab"
    assert held(told(lease, (120, "a"))) == "a"


def test_an_empty_restart_shorter_than_a_lease_takes_nothing_away():
    lease = told(NEW, (0, "abc"), (30, ""), (60, ""), (90, "a"), (115, "abc"))
    assert (held(lease), lease.missing) == ("abc", {})


def test_an_instance_that_comes_back_begins_a_new_lease():
    lease = told(NEW, (0, "ab"), (30, "a"), (60, "a"), (90, "ab"), (120, "a"), (150, "a"), (180, "a"))
    assert held(lease) == "ab"
    assert held(told(lease, (210, "a"))) == "a"


def test_partial_lists_in_turn_take_nothing_away():
    lease = told(NEW, (0, "abcd"), *((30 * n, "ab" if n % 2 else "cd") for n in range(1, 40)))
    assert held(lease) == "abcd"


def test_a_silence_counts_for_no_more_than_its_gap():
    lease = told(NEW, (0, "ab"), (30, "a"), (1000, "a"))
    assert held(lease) == "ab"
    assert held(told(lease, (1030, "a"))) == "ab"
    assert held(told(lease, (1030, "a"), (1060, "a"))) == "a"


def test_a_changed_status_is_believed_at_once():
    up, down = (Instance(id="a", name="web", address="10.0.0.1", port=80, status=s) for s in ("passing", "critical"))
    lease = NEW.after({("web", "a"): Registered(up, 1)}, now=0).after({("web", "a"): Registered(down, 2)}, now=30)
    assert lease.held["web", "a"].record == down


def test_an_empty_list_at_the_start_is_unknown_for_one_lease():
    lease = told(NEW, (0, ""), (30, ""), (60, ""), (89, ""))
    assert not lease.known
    lease = told(lease, (90, ""))
    assert (lease.known, held(lease)) == (True, "")


def test_what_is_listed_ends_an_empty_start():
    lease = told(NEW, (0, ""), (30, "a"))
    assert (lease.known, held(lease)) == (True, "a")


def test_doubt_begins_with_the_first_list_and_where_more_than_fifteen_of_a_hundred_are_gone():
    assert NEW.doubts(listed("a"))
    twenty = "abcdefghijklmnopqrst"
    lease = told(NEW, (0, twenty))
    assert not lease.doubts(listed(*twenty))
    assert not lease.doubts(listed(*twenty[3:], "z"))
    assert lease.doubts(listed(*twenty[4:]))
    assert lease.doubts({})


def test_two_peers_together_list_what_either_lists_and_the_later_record_counts():
    both = merged({**listed("a", updated=1), **listed("b", updated=9)}, {**listed("b", updated=3), **listed("c")})
    assert sorted(id for _, id in both) == ["a", "b", "c"]
    assert both["web", "b"].updated == 9
    assert merged(listed("a", updated=1), listed("a", updated=2))["web", "a"].updated == 2


@given(st.lists(st.tuples(st.floats(0, 200), st.sets(st.sampled_from("abcd"))), min_size=1, max_size=30))
def test_nothing_goes_that_was_listed_less_than_a_lease_ago(story):
    lease, now, last = NEW, 0.0, {}
    for pause, ids in story:
        now += pause
        lease = lease.after(listed(*ids), now=now)
        last |= dict.fromkeys(ids, now)
        assert set(held(lease)) >= {id for id, seen in last.items() if now - seen < NEW.seconds}
        assert set(held(lease)) >= ids
