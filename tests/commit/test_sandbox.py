"""In the sandbox a command sees the staged files at their destinations, and nobody else does."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ctemplate.changes import Change, Command
from ctemplate.commit import files, sandbox
from ctemplate.commit.command import Result
from ctemplate.commit.files import Entry
from ctemplate.commit.sandbox import NoNamespace, Sandbox

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


@pytest.fixture
def box(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path / "state")


def stage(path: Path, content: str) -> Entry:
    path.parent.mkdir(parents=True, exist_ok=True)
    old = path.read_bytes() if path.exists() else None
    return files.stage(
        Change(template=str(path), destination=path, content=content.encode(), old=old), ident="0123abcd"
    )


def cat(box: Sandbox, *entries: Entry) -> Result:
    return box.run(Command(("cat", *(entry.destination for entry in entries))), entries)


def test_changed_and_new_files_are_seen_together(box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old ")
    entries = [stage(tmp_path / "a", "A "), stage(tmp_path / "b", "B "), stage(tmp_path / "deep" / "c", "C")]
    assert cat(box, *entries).output == "A B C"
    assert (tmp_path / "a").read_text() == "old "
    assert not (tmp_path / "b").exists()


def test_what_else_is_in_the_directory_of_a_new_file_is_still_there(box: Sandbox, tmp_path: Path) -> None:
    entry = stage(tmp_path / "d" / "new", "x")
    (tmp_path / "d" / "other").write_text("y")
    result = box.run(Command(f"cd {tmp_path}/d; echo *"), [entry])
    assert result.output == "new other"


def test_new_files_in_a_directory_and_in_one_below_it(box: Sandbox, tmp_path: Path) -> None:
    entries = [stage(tmp_path / "d" / "e" / "inner", "1 "), stage(tmp_path / "d" / "outer", "2")]
    assert cat(box, *entries).output == "1 2"


def test_the_state_directory_may_lie_below_a_destination(tmp_path: Path) -> None:
    box = Sandbox(tmp_path / "d" / "state: of, it")
    entries = [stage(tmp_path / "d" / "outer", "1 "), stage(tmp_path / "d" / "e" / "inner", "2")]
    assert cat(box, *entries).output == "1 2"


@pytest.mark.parametrize("name", ["with space", "quo'te", 'dou"ble', "$(touch x)", "a;b", "a,b:c", "-n", "nl\nx", "ü"])
def test_no_name_is_read_as_anything_else(box: Sandbox, tmp_path: Path, name: str) -> None:
    directory = tmp_path / f"dir {name}"
    directory.mkdir()
    (directory / name).write_text("old ")
    entries = [stage(directory / name, "A "), stage(directory / f"{name}2", "B")]
    assert cat(box, *entries).output == "A B"
    assert not (Path.cwd() / "x").exists()


def test_the_check_gets_its_own_words_and_directory(box: Sandbox, tmp_path: Path) -> None:
    entry = stage(tmp_path / "new", "x")
    assert box.run(Command(("printf", "%s|", "$HOME", "--", "a b")), [entry]).output == "$HOME|--|a b|"
    assert box.run(Command("pwd"), [entry]).output == str(Path.cwd())


def test_the_code_of_the_check_is_what_is_returned(box: Sandbox, tmp_path: Path) -> None:
    entry = stage(tmp_path / "new", "x")
    for code in (0, 1, 2, 97, 125):
        assert box.run(Command(f"exit {code}"), [entry]).code == code


def test_a_check_can_be_cancelled(box: Sandbox, tmp_path: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    assert box.run(Command("sleep 30"), [stage(tmp_path / "new", "x")], cancel=cancel).code is None


def test_nothing_stays_behind(box: Sandbox, tmp_path: Path) -> None:
    cat(box, stage(tmp_path / "new", "x"))
    assert list((tmp_path / "state").iterdir()) == []


def test_what_a_killed_check_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / "check-abc").mkdir()
    (tmp_path / "check-probe").mkdir()
    (tmp_path / "check-probe" / "one").touch()
    (tmp_path / "check-full").mkdir()
    (tmp_path / "check-full" / "mine").touch()
    sandbox.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "check-full"]


def test_a_place_that_cannot_be_mounted_over_is_said_and_the_check_did_not_run(box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    entry = stage(tmp_path / "a", "new")
    (tmp_path / "a").unlink()
    with pytest.raises(NoNamespace, match="cannot be mounted over"):
        box.run(Command(f"touch {tmp_path}/ran"), [entry])
    assert not (tmp_path / "ran").exists()


def test_a_full_state_directory_is_not_this_machines_last_word(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    box = Sandbox(tmp_path / "state")
    assert box.refusal
    (tmp_path / "state").unlink()
    assert not box.refusal
