"""What differs is planned, everything else is left out, and a diff shows it without acting on a terminal."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ctemplate.commit.plan import DIFF_LINES, unified_diff
from ctemplate.model import Change


def change(old: bytes | None, new: bytes, **options: Any) -> Change:
    return Change(template="/a", destination=Path("/a"), content=new, old=old, **options)


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


def test_a_sensitive_file_is_in_no_diff() -> None:
    text = unified_diff(change(b"secret-old\n", b"secret-new\n", sensitive=True))
    assert "secret-" not in text
    assert "sensitive" in text


def test_a_diff_looks_as_diff_shows_it() -> None:
    old, new = b"".join(b"%d\n" % n for n in range(20)), b"".join(b"%d\n" % n for n in range(20) if n != 10)
    assert unified_diff(change(old, new)).splitlines() == [
        "--- /a",
        "+++ /a",
        "@@ -8,7 +8,6 @@",
        " 7",
        " 8",
        " 9",
        "-10",
        " 11",
        " 12",
        " 13",
    ]


def test_a_new_file_is_shown_whole() -> None:
    assert unified_diff(change(None, b"a\nb\n")).splitlines() == [
        "--- /dev/null",
        "+++ /a",
        "@@ -0,0 +1,2 @@",
        "+a",
        "+b",
    ]


def test_a_lost_newline_at_the_end_is_a_difference_that_is_seen() -> None:
    assert unified_diff(change(b"a\n", b"a")).splitlines()[-2:] == ["-a", "+a  (no newline at the end)"]


def test_escape_sequences_do_not_reach_the_terminal() -> None:
    text = unified_diff(change(b"", b"\x1b]0;owned\x07\r\xc2\x9b31m\n"))
    assert text.splitlines()[-1] == "+\\x1b]0;owned\\x07\\x0d\\x9b31m"


def test_colours_are_only_where_they_are_asked_for() -> None:
    assert "\x1b[32m+b" in unified_diff(change(b"a\n", b"b\n"), color=True)
    assert "\x1b" not in unified_diff(change(b"a\n", b"b\n"))


def test_a_difference_too_large_to_compare_is_one_hunk() -> None:
    old = b"".join(b"a%d\n" % n for n in range(DIFF_LINES))
    new = b"".join(b"b%d\n" % n for n in range(DIFF_LINES))
    lines = unified_diff(change(old, new)).splitlines()
    assert lines[2] == f"@@ -1,{DIFF_LINES} +1,{DIFF_LINES} @@"
    assert len(lines) == 3 + 2 * DIFF_LINES


line = st.sampled_from(["a", "b", "c", "", "}"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(line, max_size=25), st.lists(line, max_size=25))
@example(list("aaaaabbbba"), list("aaabaabbba"))  # the equal end is longer than what a comparison finds equal
def test_patch_makes_the_new_file_from_the_old_and_the_diff(tmp_path: Path, old: list[str], new: list[str]) -> None:
    before, after = ("".join(f"{text}\n" for text in lines) for lines in (old, new))
    if before == after:
        return
    (tmp_path / "a").write_text(before)
    diff = unified_diff(change(before.encode(), after.encode())) + "\n"
    subprocess.run(["patch", "--quiet", "--posix", tmp_path / "a"], input=diff.encode(), check=True)
    made = tmp_path / "a"
    assert (made.read_text() if made.exists() else "") == after
