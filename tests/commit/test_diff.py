"""A diff shows what differs without acting on a terminal, as `diff -u` and `patch` know it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ctemplate.changes import Change
from ctemplate.commit.diff import DIFF_LINES, unified_diff


def change(old: bytes | None, new: bytes, **options: Any) -> Change:
    return Change(template="/a", destination=Path("/a"), content=new, old=old, **options)


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
