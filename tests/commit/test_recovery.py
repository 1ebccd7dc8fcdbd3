"""What the next start makes of a commit that was interrupted, by killing real ones."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ctemplate.changes import Broken, Committed, Proof, RolledBack
from ctemplate.commit.events import JournalSetAside, LeftAlone
from ctemplate.commit.journal import Journals, Phase
from ctemplate.events import Warned

KILLED = -signal.SIGKILL


def deadly(bench: Any, where: str = "") -> str:
    """A command that ends the process that runs it, the first time."""
    once = bench.root / f"killed{where}"
    return f"test -e {once} || {{ touch {once}; kill -KILL $PPID; exec sleep 5; }}; cat {bench.live}/* >> {bench.log}"


def commit_two(bench: Any) -> None:
    bench.apply({"a": "new a\n", "b": "new b\n"}, command=deadly(bench))


def commit_checked(bench: Any) -> None:
    bench.apply({"a": "new a\n"}, checks=[f"test -e {bench.root}/bad && exit 1; true"], command=deadly(bench))


def killed_in_check(bench: Any) -> None:
    bench.apply({"a": "new a\n"}, checks=[deadly(bench)], command=f"echo reload >> {bench.log}")


def killed_in_roll_back(bench: Any) -> None:
    grim = f"grep -q new {bench.live}/a && test ! -e {bench.root}/killed && exit 1; {deadly(bench)}"
    bench.apply({"a": "new a\n"}, command=grim)


def killed_with_backup(bench: Any) -> None:
    bench.apply({"a": "new a\n"}, backup=True, command=deadly(bench))


@pytest.fixture
def old(bench: Any) -> Any:
    (bench.live / "a").write_text("old a\n")
    return bench


def test_killed_between_swap_and_proof_the_next_start_finishes(old: Any, in_child: Any) -> None:
    assert in_child(commit_two).returncode == KILLED
    assert old.files()["a"] == "new a\n"
    assert old.recover() == {"a": Committed(proof=Proof.NONE), "b": Committed(proof=Proof.NONE)}
    assert old.files() == {"a": "new a\n", "b": "new b\n"}
    assert old.lines() == ["new a", "new b"]
    assert old.journal_files() == []


def test_the_next_commit_finishes_it_too(old: Any, in_child: Any) -> None:
    assert in_child(commit_two).returncode == KILLED
    old.committer = old.again()
    outcomes = old.apply({"a": "newer a\n", "b": "new b\n"}, command=deadly(old))
    assert set(outcomes.values()) == {Committed(proof=Proof.NONE)}
    assert old.lines() == ["new a", "new b", "newer a", "new b"]
    assert old.files() == {"a": "newer a\n", "b": "new b\n"}


def test_when_not_all_is_new_what_is_new_is_undone(old: Any, in_child: Any) -> None:
    in_child(commit_two)
    (kept,) = old.live.glob(".a.*-old")
    kept.replace(old.live / "a")  # as if that rename had not reached the disk
    outcomes = old.recover()
    assert {type(outcome) for outcome in outcomes.values()} == {RolledBack}
    assert old.files() == {"a": "old a\n"}
    assert old.lines() == ["old a"]
    assert old.journal_files() == []


def test_when_the_check_refuses_by_now_it_is_undone(old: Any, in_child: Any) -> None:
    assert in_child(commit_checked).returncode == KILLED
    (old.root / "bad").touch()
    assert isinstance(old.recover()["a"], RolledBack)
    assert old.files() == {"a": "old a\n"}


def test_killed_in_the_check_nothing_was_live_and_nothing_is_left(old: Any, in_child: Any) -> None:
    assert in_child(killed_in_check).returncode == KILLED
    assert old.files()["a"] in ("old a\n", "new a\n")
    old.recover()
    assert len(old.files()) == 1
    assert old.journal_files() == []


def test_killed_in_the_roll_back_the_next_start_completes_it(old: Any, in_child: Any) -> None:
    assert in_child(killed_in_roll_back).returncode == KILLED
    assert isinstance(old.recover()["a"], RolledBack)
    assert old.files() == {"a": "old a\n"}
    assert old.lines() == ["old a"]


def test_a_backup_is_kept_by_the_start_that_finishes(old: Any, in_child: Any) -> None:
    in_child(killed_with_backup)
    old.recover()
    assert old.files() == {"a": "new a\n", "a.bak": "old a\n"}


def test_what_somebody_mended_by_hand_is_left_alone_and_the_old_file_kept(old: Any, in_child: Any) -> None:
    in_child(commit_two)
    (old.live / "a").write_text("mended\n")
    old.recover()
    assert (old.live / "a").read_text() == "mended\n"
    assert not (old.live / "b").exists()
    (said,) = old.events(LeftAlone)
    assert said.destination == str(old.live / "a")
    assert Path(said.backup).read_text() == "old a\n"
    assert old.journal_files() == []
    old.recover()
    assert Path(said.backup).exists()


def test_without_the_kept_old_file_it_is_broken_and_the_journal_stays(old: Any, in_child: Any) -> None:
    in_child(commit_checked)
    for kept in old.live.glob(".a.*-old"):
        kept.unlink()
    (old.root / "bad").touch()
    outcome = old.recover()["a"]
    assert isinstance(outcome, Broken)
    assert "is gone" in outcome.reason
    assert old.journal_files() != []


@pytest.mark.parametrize("damage", ["version", "content", "empty"])
def test_a_journal_that_cannot_be_trusted_is_set_aside_and_nothing_is_guessed(
    old: Any, in_child: Any, damage: str
) -> None:
    in_child(commit_two)
    path = Journals(old.journals).path(old.group)
    raw = path.read_bytes()
    path.write_bytes({"version": raw.replace(b" 1 ", b" 9 ", 1), "content": raw[:-9], "empty": b""}[damage])
    before = old.files()
    assert old.recover() == {}
    assert [name for name, content in before.items() if old.files().get(name) != content] == []
    (said,) = old.events(JournalSetAside)
    assert Path(said.journal).exists()
    assert old.lines() == []


def test_a_broken_journal_survives_the_start_and_its_old_files_with_it(old: Any, in_child: Any) -> None:
    """The reload fails forward and back: the phase says that only undoing is left."""
    outcome = old.apply({"a": "new a\n"}, command=f"test -e {old.root}/up")["a"]
    assert isinstance(outcome, Broken)
    assert isinstance(old.recover()["a"], Broken)
    (path,) = Journals(old.journals).paths()
    assert Journals(old.journals).load(path).phase is Phase.UNDO
    (old.root / "up").touch()
    assert isinstance(old.recover()["a"], RolledBack)
    assert old.files() == {"a": "old a\n"}


def test_recovering_twice_is_recovering_once(old: Any, in_child: Any) -> None:
    in_child(commit_two)
    old.recover()
    assert old.recover() == {}
    assert old.lines() == ["new a", "new b"]


def test_a_lost_journal_is_said_when_its_leftovers_are_found(old: Any, in_child: Any) -> None:
    in_child(commit_two)
    Journals(old.journals).path(old.group).unlink()
    assert old.recover() == {}
    assert old.files() == {"a": "new a\n", "b": "new b\n"}
    assert any("reload it by hand" in event.text() for event in old.events(Warned))


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/usr/bin/setpriv").exists(), reason="needs setpriv as root")
def test_a_journal_that_cannot_be_read_for_now_is_not_set_aside(old: Any, in_child: Any) -> None:
    in_child(commit_two)
    Journals(old.journals).path(old.group).chmod(0)
    powerless = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    child = in_child(refuse_while_unreadable, prefix=powerless)
    assert child.returncode == 0, child.stderr
    Journals(old.journals).path(old.group).chmod(0o600)
    assert old.recover()["a"] == Committed(proof=Proof.NONE)


def refuse_while_unreadable(bench: Any) -> None:
    assert bench.recover() == {}
    assert "cannot be read" in bench.apply({"a": "newer\n"}, command="true")["a"].reason
    assert bench.files()["a"] == "new a\n"
    assert list(bench.live.glob(".a.*-old"))


def test_a_mended_journal_of_old_and_new_alike_needs_the_inode_to_tell(old: Any, in_child: Any) -> None:
    """Only the mode was to change, and the process was killed before its reload."""
    assert in_child(commit_mode).returncode == KILLED
    assert old.recover() == {"a": Committed(proof=Proof.NONE)}
    assert (old.live / "a").stat().st_mode & 0o777 == 0o604
    assert old.files() == {"a": "old a\n"}


def commit_mode(bench: Any) -> None:
    bench.apply({"a": "old a\n"}, mode=0o604, command=deadly(bench))


def test_a_journal_names_everything_that_undoing_takes(old: Any, in_child: Any) -> None:
    in_child(commit_two)
    (path,) = Journals(old.journals).paths()
    journal = Journals(old.journals).load(path)
    assert journal.phase is Phase.SWAP
    assert [Path(entry.destination).name for entry in journal.entries] == ["a", "b"]
    assert b"new a" not in msgspec.json.encode(journal)
