"""How old answers are is told the same whether every one is looked at or not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ctemplate.catalog.hearing import Hearing
from ctemplate.catalog.wanted import Wanted
from ctemplate.model import DISK, Kind, Query

CATALOGS = ("one", "other", DISK)
times = st.integers(1, 5)


def watched(catalog, heard, failure=None):
    query = Query(catalog=catalog, kind=Kind.SERVICE, name=f"{heard} {failure}")
    watch = Wanted(query)
    watch.heard, watch.failure = heard, failure
    return query, watch


failures = st.sampled_from((None, "a failure"))


@given(
    st.lists(st.builds(watched, st.sampled_from(CATALOGS), st.none() | times), max_size=6)
    | st.lists(st.builds(watched, st.sampled_from(CATALOGS), st.none() | times, failures), max_size=6),
    st.dictionaries(st.sampled_from(CATALOGS[:2]), times),
)
@example([watched("one", 1), watched("other", 2)], {"one": 5})
@example([watched("one", 1), watched("one", 2, "a failure")], {"one": 5})
@example([watched("one", 1), watched("other", 2)], {"one": 5, "other": 3})
def test_what_was_heard_least_recently_is_the_oldest(found, shared):
    watches = dict(found)
    sharing = {name: SimpleNamespace(heard=lambda at=at: at) for name, at in shared.items()}
    heard = [
        watch.heard if watch.failure else max(watch.heard, shared.get(query.catalog, 0))
        for query, watch in watches.items()
        if watch.heard is not None and query.catalog != DISK
    ]
    all_share = all(not watch.failure and q.catalog in (*sharing, DISK) for q, watch in watches.items())
    for queries in (watches, reversed(watches)):
        hearing = Hearing(watches, sharing, all_share=all_share)
        assert hearing.oldest(queries) == min(heard, default=None)
        assert hearing.all_heard is None or min(heard, default=hearing.all_heard) >= hearing.all_heard


@pytest.mark.parametrize(
    ("shared", "all_share", "all_heard"),
    [((2,), True, 2), ((2, 2), True, 2), ((2, 3), True, None), ((2,), False, None), ((None,), True, None)],
)
def test_one_moment_is_right_for_all_where_all_share_what_is_heard(shared, all_share, all_heard):
    sharing = {str(at): SimpleNamespace(heard=lambda heard=heard: heard) for at, heard in enumerate(shared)}
    assert Hearing({}, sharing, all_share=all_share).all_heard == all_heard


def test_of_ten_thousand_that_are_heard_of_together_one_is_looked_at():
    watches = dict(watched("one", heard) for heard in (1, 3, 4))
    sharing = {"one": SimpleNamespace(heard=lambda: 2.0)}
    looked_at = iter(watches)
    assert Hearing(watches, sharing, all_share=True).oldest(looked_at) == 2.0
    assert len(list(looked_at)) == 2
