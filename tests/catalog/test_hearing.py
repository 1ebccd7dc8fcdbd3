"""How old answers are is told the same whether every one is looked at or not."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from ctemplate.catalog.hearing import Hearing
from ctemplate.catalog.wanted import Wanted
from ctemplate.model import DISK, Kind, Query

CATALOGS = ("one", "other", DISK)
times = st.integers(1, 5)


@st.composite
def watches(draw):
    found = {}
    for number in range(draw(st.integers(0, 6))):
        query = Query(catalog=draw(st.sampled_from(CATALOGS)), kind=Kind.SERVICE, name=str(number))
        watch = found[query] = Wanted(query)
        watch.heard = draw(st.none() | times.map(float))
        watch.failure = draw(st.sampled_from((None, None, "a failure")))
    return found


@given(watches(), st.dictionaries(st.sampled_from(CATALOGS[:2]), times))
def test_what_was_heard_least_recently_is_the_oldest(watches, shared):
    sharing = {name: SimpleNamespace(heard=lambda at=at: at) for name, at in shared.items()}
    heard = [
        watch.heard if watch.failure else max(watch.heard, shared.get(query.catalog, 0))
        for query, watch in watches.items()
        if watch.heard is not None and query.catalog != DISK
    ]
    names = {query.catalog for query in watches}
    hearing = Hearing(watches, sharing, catalogs=names, failing=any(watch.failure for watch in watches.values()))
    assert hearing.oldest(watches) == min(heard, default=None)


def test_of_ten_thousand_that_are_heard_of_together_one_is_looked_at():
    queries = [Query(kind=Kind.SERVICE, name=str(number)) for number in range(3)]
    watches = {query: Wanted(query) for query in queries}
    watches[queries[0]].heard = 1.0
    sharing = {"default": SimpleNamespace(heard=lambda: 2.0)}
    looked_at = iter(queries)
    assert Hearing(watches, sharing, catalogs={"default", DISK}, failing=False).oldest(looked_at) == 2.0
    assert list(looked_at) == queries[1:]
