"""However many watches a fault ends, each raises it with the one place where it arose."""

from __future__ import annotations

import traceback

import pytest

from ctemplate.catalog.ending import Ending
from ctemplate.errors import Refused


def faulty():
    raise KeyError("a bug")


def ending(what):
    try:
        what()
    except Exception as fault:
        return Ending(fault)


def raised(ended):
    with pytest.raises(Exception) as caught:
        raise ended.again()
    return caught.value


def places(fault):
    return [frame.name for frame in traceback.extract_tb(fault.__traceback__)]


def test_a_fault_of_our_own_names_its_place_each_time_and_no_more():
    ended = ending(faulty)

    seen = [(type(fault), places(fault)) for fault in (raised(ended) for _ in range(5))]

    assert seen == [(KeyError, ["raised", "ending", "faulty"])] * 5


def test_what_a_catalog_says_is_another_exception_each_time():
    ended = Ending(Refused("no such token"))

    one, two = raised(ended), raised(ended)

    assert one is not two
    assert type(one) is type(two) is Refused
    assert str(one) == str(two) == "no such token"


def test_of_what_a_task_group_raises_the_first_counts():
    ended = Ending(ExceptionGroup("", [ExceptionGroup("", [Refused("no such token")]), KeyError("a bug")]))

    assert str(raised(ended)) == "no such token"
