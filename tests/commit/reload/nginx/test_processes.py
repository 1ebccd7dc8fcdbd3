"""What a pid file leads to."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ctemplate.commit.reload.nginx.processes import Master, MasterGone, Presence, find, upgrading


def test_no_file_means_not_running(tmp_path: Path) -> None:
    assert find(tmp_path / "nginx.pid").presence is Presence.ABSENT


@pytest.mark.parametrize("text", ["", "\n", "nonsense", "0", "-1", "99999999999999999999"])
def test_a_file_that_names_no_process_means_not_running(tmp_path: Path, text: str) -> None:
    (tmp_path / "nginx.pid").write_text(text)
    assert find(tmp_path / "nginx.pid").presence is Presence.ABSENT


def test_a_process_that_has_ended_is_not_running(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / "nginx.pid").write_text(f"{ended.pid}\n")
    assert find(tmp_path / "nginx.pid").presence is Presence.ABSENT


def test_a_process_that_is_no_master_is_a_stranger_and_named(tmp_path: Path) -> None:
    (tmp_path / "nginx.pid").write_text(f"{os.getpid()}\n")
    sight = find(tmp_path / "nginx.pid")
    assert sight.presence is Presence.STRANGER
    assert "python" in sight.what or "pytest" in sight.what


def test_a_pid_file_that_may_not_be_read_is_not_taken_for_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "nginx.pid").mkdir()
    assert find(tmp_path / "nginx.pid").presence is Presence.HIDDEN


def test_an_upgrade_that_left_its_file_behind_is_over(tmp_path: Path) -> None:
    (tmp_path / "nginx.pid.oldbin").write_text("99999999\n")
    assert not upgrading(tmp_path / "nginx.pid")


def test_a_master_that_is_not_there_is_gone() -> None:
    with pytest.raises(MasterGone):
        Master(99_999_999)
