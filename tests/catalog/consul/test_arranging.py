"""Which watch parks and which shares: never more than there is room for, and never sharing without need."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctemplate.catalog.consul.arranging import (
    SENTINELS,
    Counts,
    Sort,
    Way,
    arrange,
    folder_of,
    places_of,
    sort_of,
)
from ctemplate.model import Kind, Query

many = st.integers(0, 300)
counts = st.builds(
    lambda services, keys, folders, others: Counts(services, keys, min(keys, folders), others), many, many, many, many
)


def parked(counts, arrangement):
    """How many connections an arrangement parks on, with the fewest polls of the census."""
    cost = {
        Sort.SERVICE: {Way.OWN: counts.services, Way.CENSUS: SENTINELS if counts.services else 0},
        Sort.KEY: {Way.OWN: counts.keys, Way.FOLDER: counts.folders},
        Sort.OTHER: {Way.OWN: counts.others},
    }
    return sum(ways.get(arrangement.way(sort), 0) for sort, ways in cost.items())


@given(counts, st.integers(1, 200))
def test_no_arrangement_parks_on_more_than_there_is(counts, places):
    arrangement = arrange(counts, places=places)
    assert parked(counts, arrangement) <= places
    assert arrangement.census <= places


@given(counts, st.integers(1, 200))
def test_whoever_fits_is_parked_on_exactly_its_own_question(counts, places):
    if counts.services + counts.keys + counts.others <= places:
        arrangement = arrange(counts, places=places)
        assert {arrangement.way(sort) for sort in Sort} == {Way.OWN}


@given(counts, st.integers(SENTINELS, 200))
def test_services_never_take_turns_where_there_is_room_for_the_sentinels(counts, places):
    assert arrange(counts, places=places).services in (Way.OWN, Way.CENSUS) or counts.services <= SENTINELS


@given(counts, st.integers(1, 200))
def test_the_census_is_given_what_the_others_leave(counts, places):
    arrangement = arrange(counts, places=places)
    if arrangement.services is Way.CENSUS:
        keys = {Way.OWN: counts.keys, Way.FOLDER: counts.folders, Way.TURNS: 0}[arrangement.keys]
        others = counts.others if arrangement.others is Way.OWN else 0
        assert arrangement.census == places - keys - others >= SENTINELS or counts.services < SENTINELS


@pytest.mark.parametrize(("connections", "places"), [(2, 1), (8, 7), (16, 14), (24, 21), (64, 60), (1100, 1096)])
def test_some_connections_are_never_parked_on(connections, places):
    assert places_of(connections) == places


@pytest.mark.parametrize(
    ("query", "sort", "folder"),
    [
        (Query(kind=Kind.SERVICE, name="web"), Sort.SERVICE, ""),
        (Query(kind=Kind.SERVICE, name="web", dc="dc2"), Sort.OTHER, ""),
        (Query(kind=Kind.SERVICE, name="web", near="_agent"), Sort.OTHER, ""),
        (Query(kind=Kind.SERVICE, name="web", filter="x"), Sort.OTHER, ""),
        (Query(kind=Kind.SERVICES), Sort.OTHER, ""),
        (Query(kind=Kind.KEY, name="/app/colour"), Sort.KEY, "app/"),
        (Query(kind=Kind.KEY, name="colour"), Sort.OTHER, ""),
        (Query(kind=Kind.KEYS, name="app"), Sort.KEY, "app/"),
        (Query(kind=Kind.KEYS, name="app/deep/"), Sort.KEY, "app/"),
        (Query(kind=Kind.KEYS, name=""), Sort.OTHER, ""),
    ],
)
def test_what_a_query_can_share(query, sort, folder):
    assert sort_of(query) is sort
    if query.kind in (Kind.KEY, Kind.KEYS):
        assert folder_of(query) == folder
