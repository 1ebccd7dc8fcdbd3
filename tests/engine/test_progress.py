from __future__ import annotations

import asyncio
import io

import pytest

from ctemplate.engine import progress
from ctemplate.model import Answer, Kind, Query, Snapshot
from ctemplate.observe.log import Log

WANTED = frozenset(Query(kind=Kind.KEY, name=str(n)) for n in range(9))


class Hub:
    """Has so many answers of `WANTED` at each look."""

    def __init__(self, *come, underway=""):
        self._left = [Snapshot(dict.fromkeys(sorted(WANTED, key=str)[:count], Answer(""))) for count in come]
        self._underway = underway

    @property
    def snapshot(self):
        return self._left.pop(0)

    def underway(self):
        return self._underway


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    monkeypatch.setattr(progress, "TERMINAL_SECONDS", 0.0)


def shown(hub, stream, *, wanted=WANTED, **limits):
    asyncio.run(progress.show(hub, lambda: wanted, log=Log(stream=stream), **limits))
    return stream.getvalue()


def test_in_a_log_it_says_how_far_it_is_until_all_is_there():
    lines = shown(Hub(0, 3, 9), io.StringIO()).splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines] == ["0 of 9 answers have come", "3 of 9 answers have come"]


def test_in_a_log_what_has_not_moved_is_not_said_again():
    assert len(shown(Hub(3, 3, 3, 4, 9), io.StringIO()).splitlines()) == 2


def test_what_is_read_for_many_together_moves_it_too():
    assert "3 of 9 answers have come; 5 of 7 nodes are read" in shown(
        Hub(3, 9, underway="5 of 7 nodes are read"), io.StringIO()
    )


def test_on_a_terminal_it_is_one_line_that_is_gone_at_the_end():
    erase = "\r\x1b[K"
    drawn = f"{erase}3 of 9 answers have come{erase}8 of 9 answers have come{erase}"
    assert shown(Hub(3, 8, 9), Terminal()) == drawn


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_where_nothing_is_asked_nothing_is_said(stream):
    assert shown(Hub(*[0] * 100_000), stream(), wanted=frozenset(), seconds=0.05) == ""


def test_it_ends_in_time_when_answers_do_not_come(monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 60.0)
    assert shown(Hub(), io.StringIO(), seconds=0.01) == ""
