"""What differs is planned, and everything else is left out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def test_equal_bytes_are_no_change(bench: Any) -> None:
    (bench.live / "a").write_text("same\n")
    assert bench.plan({"a": "same\n", "b": "new\n"}).changes[0].template == str(bench.live / "b")
    assert len(bench.plan({"a": "same\n", "b": "new\n"}).changes) == 1


def test_an_empty_file_and_no_file_are_different_things(bench: Any) -> None:
    assert bench.plan({"a": ""}).changes[0].old is None
    (bench.live / "a").touch()
    assert bench.plan({"a": ""}).changes == ()


def test_a_destination_that_cannot_be_compared_costs_only_its_own_template(bench: Any) -> None:
    (bench.live / "dir").mkdir()
    os.mkfifo(bench.live / "pipe")
    (bench.live / "loop").symlink_to("loop")
    plan = bench.plan({"dir": "x", "pipe": "x", "loop": "x", "ok": "x"})
    assert [change.destination.name for change in plan.changes] == ["ok"]
    assert sorted(Path(name).name for name in plan.refused) == ["dir", "loop", "pipe"]
    outcomes = bench.committer.apply(plan)
    assert len(outcomes) == 4
    assert bench.live.joinpath("ok").read_text() == "x"


def test_in_an_atomic_group_it_costs_all(bench: Any) -> None:
    (bench.live / "dir").mkdir()
    plan = bench.plan({"ok": "x", "dir": "x"}, atomic=True)
    assert plan.changes == ()
    assert len(plan.refused) == 2


def test_two_templates_that_mean_one_file_by_a_link_are_told_apart_from_two_files(bench: Any) -> None:
    (bench.live / "link").symlink_to("real")
    plan = bench.plan({"real": "1", "link": "2"})
    assert [change.destination.name for change in plan.changes] == ["real"]
    assert "are one file" in plan.refused[str(bench.live / "link")].reason


def test_planning_writes_nothing(bench: Any) -> None:
    before = bench.live.stat().st_mtime_ns
    bench.plan({"a": "x", "deep/b": "y"}, create_dirs=True)
    assert bench.live.stat().st_mtime_ns == before
