"""The rules of blocking queries, as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctemplate.catalog.consul.blocking import WAIT_SECONDS, Head, Poll, timeout_seconds, wait_seconds
from ctemplate.errors import Unavailable

MAX_STALE = 2.0


@pytest.mark.parametrize(
    ("poll", "head", "following", "usable"),
    [
        pytest.param(Poll(), Head(7), Poll(7), True, id="the first answer"),
        pytest.param(Poll(7), Head(9), Poll(9), True, id="news"),
        pytest.param(Poll(7), Head(7), Poll(7), True, id="an equal index, whose data may differ all the same"),
        pytest.param(Poll(7), Head(6), Poll(leader=True), False, id="an index that went backwards"),
        pytest.param(Poll(), Head(0), Poll(1), True, id="an index below 1 would not block"),
        pytest.param(Poll(1), Head(0), Poll(1), True, id="an index that stays below 1"),
        pytest.param(Poll(7), Head(0), Poll(leader=True), False, id="an index that fell to 0"),
        pytest.param(Poll(), Head(7, last_contact=2.0), Poll(7), True, id="as stale as allowed"),
        pytest.param(Poll(), Head(7, last_contact=2.1), Poll(leader=True), False, id="too stale, first read"),
        pytest.param(Poll(5), Head(7, last_contact=2.1), Poll(5, leader=True), False, id="too stale, later"),
        pytest.param(Poll(5, leader=True), Head(8, last_contact=9.0), Poll(8), True, id="the leader is believed"),
        pytest.param(Poll(9, leader=True), Head(8), Poll(leader=True), False, id="backwards on the leader"),
    ],
)
def test_what_follows_an_answer(poll, head, following, usable):
    assert poll.after(head, max_stale=MAX_STALE) == (following, usable)


@pytest.mark.parametrize(
    ("head", "reason"),
    [(Head(None), "X-Consul-Index"), (Head(7, known_leader=False), "no leader")],
)
def test_an_answer_that_proves_nothing_is_no_answer(head, reason):
    with pytest.raises(Unavailable, match=reason):
        Poll(7).after(head, max_stale=MAX_STALE)


def test_staleness_is_no_matter_where_the_leader_is_always_asked():
    assert Poll().after(Head(7, last_contact=99.0), max_stale=0) == (Poll(7), True)


@pytest.mark.parametrize(
    ("poll", "wait", "max_stale", "params"),
    [
        pytest.param(Poll(), 0, 2.0, {"stale": ""}, id="the first read does not wait"),
        pytest.param(Poll(), 60.0, 2.0, {"stale": ""}, id="nor does it when it may"),
        pytest.param(Poll(7), 60.0, 2.0, {"stale": "", "index": "7", "wait": "60000ms"}, id="a parked poll"),
        pytest.param(Poll(7), 0, 2.0, {"stale": ""}, id="a plain read in turn"),
        pytest.param(Poll(7, leader=True), 60.0, 2.0, {}, id="the leader is asked at once"),
        pytest.param(Poll(7), 45.5, 0, {"index": "7", "wait": "45500ms"}, id="max_stale 0 asks the leader always"),
    ],
)
def test_what_is_asked(poll, wait, max_stale, params):
    assert poll.params(wait=wait, max_stale=max_stale) == params


@pytest.mark.parametrize(
    ("headers", "head"),
    [
        ({"x-consul-index": "12", "x-consul-lastcontact": "1500", "x-consul-knownleader": "true"}, Head(12, 1.5)),
        ({"x-consul-index": "12", "x-consul-knownleader": "false"}, Head(12, known_leader=False)),
        ({}, Head(None)),
        ({"x-consul-index": "-1"}, Head(None)),
        ({"x-consul-index": "many"}, Head(None)),
        ({"x-consul-index": "9" * 5000}, Head(None)),
        ({"x-consul-index": "3", "x-consul-lastcontact": "?"}, Head(3)),
    ],
)
def test_what_headers_say(headers, head):
    assert Head.of(headers) == head


@given(st.floats(0, 1, exclude_max=True))
def test_the_wait_is_spread_and_never_longer_than_asked_of_the_agent(random):
    wait = wait_seconds(random=random)
    assert WAIT_SECONDS * 3 / 4 <= wait <= WAIT_SECONDS
    assert timeout_seconds(wait) > wait * 17 / 16, "the agent may take so long by its own jitter"


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_whatever_the_indexes_do_the_last_answer_is_used_at_the_latest_on_the_second_read(indexes):
    poll, usable = Poll(), False
    for index in [*indexes, indexes[-1]]:
        poll, usable = poll.after(Head(index), max_stale=MAX_STALE)
    assert usable
