"""Every call of a commit fails once, with each error that a machine may give for it: never torn, never mixed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest

from crash.attached import Make, Point, Rig, points
from crash.test_kills import FIVE

ERRORS = {
    "openat": ("EACCES", "EROFS", "ENOSPC", "EMFILE"),
    "write": ("ENOSPC", "EIO"),
    "fsync": ("EIO", "ENOSPC"),
    "link": ("ENOSPC", "EACCES", "EPERM"),
    "linkat": ("ENOSPC", "EACCES", "EPERM"),
    "rename": ("EROFS", "ENOSPC"),
    "unlink": ("EROFS",),
    "fchmod": ("EPERM",),
    "pipe2": ("EMFILE",),
    "vfork": ("EAGAIN", "ENOMEM"),
}
SAMPLE = 6
_ENDED = re.compile(r" (committed|rejected|rolled back|BROKEN) ")


def attempt(rig: Rig, running: Any, word: str, *options: str) -> str:
    """Have a word committed while strace does what it is told; returns the log's lines of it."""
    mark = running.mark()
    with rig.attached(*options):
        rig.edit(word)
        running.eventually(lambda: any(map(_ENDED.search, running.lines[mark:])), 30)
    return "\n".join(running.lines[mark:])


def take_back(rig: Rig, running: Any) -> None:
    """Ask for what stands on disk, so that what has failed is not wanted any more."""
    mark = running.mark()
    rig.edit(rig.set_on_disk())
    running.eventually(lambda: sum("rendered" in line for line in running.lines[mark:]) >= len(rig.names), 20)


@pytest.mark.torture
@pytest.mark.timeout(120)
def test_whichever_call_of_a_commit_fails_the_set_stays_whole_and_the_server_has_what_is_on_disk(
    make_rig: Make, torture: bool, figure: Callable[[str, object], None]
) -> None:
    rig = make_rig(FIVE)
    running = rig.start("old")
    mark = running.mark()
    with rig.attached() as log:
        rig.edit("new")
        running.wait_for("committed", since=mark, timeout=30)
    every = [(point, error) for point in points(log, reads=True) for error in ERRORS.get(point.call, ())]
    assert {point.call for point, _ in every} >= {"openat", "write", "fsync", "rename", "unlink"}
    chosen: list[tuple[Point, str]] = every if torture else random.Random(4).sample(every, SAMPLE)
    ended: dict[str, int] = {}
    for (call, number), error in chosen:
        word = "new" if rig.set_on_disk() == "old" else "old"
        told = attempt(rig, running, word, "-e", f"inject={call}:error={error}:when={number}")
        outcome = _ENDED.search(told)
        assert outcome is not None
        ended[outcome[1]] = ended.get(outcome[1], 0) + 1
        why = f"{call} {number} {error}: {outcome[1]}\n{told}"
        assert outcome[1] != "BROKEN", why
        assert rig.set_on_disk() in ("old", "new"), why
        assert rig.served() == rig.set_on_disk(), why
        if outcome[1] != "committed":
            take_back(rig, running)
    running.stop()
    start = rig.next_start()
    assert rig.set_on_disk() in ("old", "new"), start.err
    assert rig.served() == rig.set_on_disk(), start.err
    assert rig.left_behind() == [], start.err
    figure("calls of a commit that failed, each with every error of its kind", len(chosen))
    figure("… ended", ", ".join(f"{name} {count}" for name, count in sorted(ended.items())))
    figure("… torn or mixed", 0)
