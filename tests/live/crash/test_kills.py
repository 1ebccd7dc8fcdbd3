"""`kill -9` at every system call of a commit that changes anything: the next start finishes or undoes it."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from typing import Any

import pytest

from crash.attached import Make, Point, Rig, points

ONE = ("a",)
FIVE = ("a", "x/b", "x/c", "y/d", "y/e")
SAMPLE = 2
"""Points a set, where not all are tried."""


def record(rig: Rig) -> list[Point]:
    """Return the points of one commit from the word `old` to `new`."""
    running = rig.start("old")
    mark = running.mark()
    with rig.attached() as log:
        rig.edit("new")
        running.wait_for("committed", since=mark, timeout=30)
    running.stop()
    return points(log)


@pytest.mark.torture
@pytest.mark.timeout(120)
@pytest.mark.parametrize("names", [ONE, FIVE], ids=["one file", "a set of five"])
def test_killed_at_any_call_that_changes_anything_the_next_start_finishes_or_undoes(
    make_rig: Make, names: tuple[str, ...], torture: bool, figure: Callable[[str, object], None]
) -> None:
    rig = make_rig(names)
    every = record(rig)
    assert len(every) > 8 * len(names)
    chosen = every if torture else random.Random(len(names)).sample(every, SAMPLE)
    ended: dict[str, int] = {}
    for call, number in chosen:
        running = rig.start("old")
        with rig.attached("-e", f"inject={call}:signal=KILL:when={number}"):
            rig.edit("new")
            assert running.wait() == -signal.SIGKILL, running.text
        assert rig.torn() == [], (call, number)
        start: Any = rig.next_start()
        assert rig.set_on_disk() in ("old", "new"), (call, number, start.err)
        assert rig.served() == rig.set_on_disk(), (call, number, start.err)
        assert rig.left_behind() == [], (call, number, start.err)
        ended[rig.set_on_disk()] = ended.get(rig.set_on_disk(), 0) + 1
    figure(f"kill points tried, {'one file' if names == ONE else 'a set of five'}", len(chosen))
    figure("… ended old / new", f"{ended.get('old', 0)} / {ended.get('new', 0)}")
    figure("… torn or mixed after the next start", 0)
