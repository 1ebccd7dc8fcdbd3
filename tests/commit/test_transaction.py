"""The table of a commit: what each step's success and failure leave on disk, and what is run."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ctemplate.changes import Broken, Command, Committed, OnFailure, Proof, Rejected, RolledBack, Step
from ctemplate.commit import sandbox
from ctemplate.commit.events import CommandFailed, LeftAlone, RenderingRefused
from ctemplate.commit.group import NAMESPACE, SWAP_THEN_TEST
from ctemplate.commit.journal import Journals
from ctemplate.commit.reload.plain import PlainReloader
from ctemplate.commit.steps import Surroundings
from ctemplate.commit.transaction import Transaction
from ctemplate.events import Warned

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount and give files away")
no_namespaces = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")


def test_a_file_without_check_and_command_is_renamed_into_place_without_a_journal(bench: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    assert bench.apply({"app.conf": "new\n"}) == {"app.conf": Committed(proof=Proof.NO_COMMAND)}
    assert bench.files() == {"app.conf": "new\n"}
    assert not bench.journals.exists()


def test_the_command_runs_once_the_file_is_live(bench: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    outcomes = bench.apply({"app.conf": "new\n"}, command=f"cat {bench.live}/app.conf >> {bench.log}")
    assert outcomes == {"app.conf": Committed(proof=Proof.NONE)}
    assert bench.lines() == ["new"]
    assert bench.files() == {"app.conf": "new\n"}
    assert bench.journal_files() == []


def test_while_the_command_runs_the_journal_and_the_old_file_are_there(bench: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    look = f"ls {bench.journals} >> {bench.log}; cat {bench.live}/.app.conf.ctemplate-*-old >> {bench.log}"
    bench.apply({"app.conf": "new\n"}, command=look)
    journal, old = bench.lines()
    assert (journal, old) == (Journals(bench.journals).path("g").name, "old")


def test_commands_run_once_each_in_the_order_of_their_templates(bench: Any) -> None:
    wanted = {"a": f"echo one >> {bench.log}", "b": f"echo two >> {bench.log}", "c": f"echo one >> {bench.log}"}
    plans = [bench.plan({name: "x\n"}, command=command) for name, command in wanted.items()]
    outcomes = bench.committer.apply(replace(plans[0], changes=tuple(plan.changes[0] for plan in plans)))
    assert set(outcomes.values()) == {Committed(proof=Proof.NONE)}
    assert bench.lines() == ["one", "two"]


def test_a_check_that_refuses_leaves_everything_as_it_was(bench: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    before = (bench.live / "app.conf").stat().st_ino
    check = f"echo '[emerg] no good'; ! grep -q new {bench.live}/app.conf"
    outcome = bench.apply({"app.conf": "new\n"}, checks=[check], command=f"echo ran >> {bench.log}")["app.conf"]
    assert isinstance(outcome, Rejected | RolledBack)
    assert "[emerg] no good" in outcome.reason
    assert bench.files() == {"app.conf": "old\n"}
    assert (bench.live / "app.conf").stat().st_ino == before
    assert bench.lines() == []
    assert bench.journal_files() == []


@as_root
def test_where_there_are_namespaces_a_refused_file_was_never_live(bench: Any) -> None:
    assert bench.committer.protection == NAMESPACE
    (bench.live / "app.conf").write_text("old\n")
    outside = bench.root / "outside"
    look = f"nsenter --target {os.getpid()} --mount cat {bench.live}/app.conf {bench.live}/new.conf > {outside} 2>&1"
    check = f"{look}; cat {bench.live}/app.conf {bench.live}/new.conf >> {bench.log}; false"
    outcomes = bench.apply({"app.conf": "bad\n", "new.conf": "fresh\n"}, checks=[check], atomic=True)
    assert {type(outcome) for outcome in outcomes.values()} == {Rejected}
    assert bench.lines() == ["bad", "fresh"]
    assert outside.read_text().startswith("old\n")
    assert "No such file" in outside.read_text()
    assert bench.files() == {"app.conf": "old\n"}


@as_root
def test_a_check_that_we_do_not_know_is_run_again_on_the_live_tree(bench: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    bench.apply({"app.conf": "new\n"}, checks=[f"readlink /proc/self/ns/mnt >> {bench.log}"])
    inside, outside = bench.lines()
    assert inside != outside == str(Path("/proc/self/ns/mnt").readlink())


def swap_then_test(bench: Any) -> None:
    """In a process without CAP_SYS_ADMIN."""
    assert bench.committer.protection == SWAP_THEN_TEST
    check = f"cat {bench.live}/app.conf >> {bench.log}; ! grep -q bad {bench.live}/*.conf"
    command = f"echo reload >> {bench.log}"
    bad = bench.apply({"app.conf": "bad\n"}, checks=[check], command=command)["app.conf"]
    assert isinstance(bad, RolledBack), bad
    assert bad.step is Step.TEST
    assert bench.files() == {"app.conf": "old\n"}
    good = bench.apply({"app.conf": "good\n"}, checks=[check], command=command)
    assert good == {"app.conf": Committed(proof=Proof.NONE)}
    mixed = bench.apply({"app.conf": "better\n", "b.conf": "bad\n"}, checks=[check], command=command)
    assert mixed["app.conf"] == Committed(proof=Proof.NONE)
    assert isinstance(mixed["b.conf"], RolledBack), mixed
    assert bench.files() == {"app.conf": "better\n"}
    assert bench.journal_files() == []


@as_root
def test_without_namespaces_files_are_swapped_first_and_tested_then(bench: Any, in_child: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    child = in_child(swap_then_test, prefix=no_namespaces)
    assert child.returncode == 0, child.stderr
    assert bench.lines().count("reload") == 2


def test_a_failing_command_brings_the_old_file_back_and_is_run_for_it(bench: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    command = f"cat {bench.live}/app.conf >> {bench.log}; grep -q old {bench.live}/app.conf"
    outcome = bench.apply({"app.conf": "new\n"}, command=command)["app.conf"]
    assert isinstance(outcome, RolledBack)
    assert outcome.step is Step.RELOAD
    assert bench.lines() == ["new", "old"]
    assert bench.files() == {"app.conf": "old\n"}
    assert bench.journal_files() == []


def test_a_new_file_whose_command_fails_is_gone_again_with_its_directories(bench: Any) -> None:
    outcome = bench.apply({"deep/er/app.conf": "new\n"}, create_dirs=True, command=f"! test -e {bench.live}/deep")
    assert isinstance(outcome["deep/er/app.conf"], RolledBack)
    assert list(bench.live.iterdir()) == []


def test_when_the_old_does_not_reload_either_it_is_broken_and_everything_is_kept(bench: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    outcome = bench.apply({"app.conf": "new\n"}, command="echo no server; exit 4")["app.conf"]
    assert isinstance(outcome, Broken)
    assert "exit 4" in outcome.reason
    assert bench.files()["app.conf"] == "old\n"
    assert bench.journal_files() != []


@pytest.mark.parametrize(("command", "code"), [("no-such-reload --now", 127), ("./not-executable", 126)])
def test_a_command_that_cannot_be_started_is_rolled_back_and_not_broken(
    bench: Any, monkeypatch: Any, command: str, code: int
) -> None:
    """Another try could do no more: the server was told nothing, and the old file is in place."""
    monkeypatch.chdir(bench.root)
    (bench.root / "not-executable").write_text("#!/bin/sh\n")
    (bench.live / "app.conf").write_text("old\n")
    outcome = bench.apply({"app.conf": "new\n"}, command=command)["app.conf"]
    assert isinstance(outcome, RolledBack), outcome
    assert outcome.step is Step.RELOAD
    assert f"exit {code}" in outcome.reason
    assert bench.files() == {"app.conf": "old\n"}
    assert bench.journal_files() == []


def test_what_ran_before_a_command_that_could_not_be_started_is_run_for_the_old_file(bench: Any) -> None:
    (bench.live / "a").write_text("old a\n")
    (bench.live / "b").write_text("old b\n")
    first = bench.plan({"a": "new a\n"}, command=f"cat {bench.live}/a >> {bench.log}")
    second = bench.plan({"b": "new b\n"}, command="no-such-reload")
    outcomes = bench.short(bench.committer.apply(replace(first, changes=(*first.changes, *second.changes))))
    assert {type(outcome) for outcome in outcomes.values()} == {RolledBack}
    assert bench.lines() == ["new a", "old a"]
    assert bench.files() == {"a": "old a\n", "b": "old b\n"}
    assert bench.journal_files() == []


def test_a_command_that_ends_with_127_after_it_did_its_work_does_it_for_the_old_file_too(bench: Any) -> None:
    (bench.live / "a").write_text("old\n")
    outcome = bench.apply({"a": "new\n"}, command=f"cat {bench.live}/a >> {bench.log}; no-such-notification")["a"]
    assert isinstance(outcome, RolledBack)
    assert bench.lines() == ["new", "old"]


def test_a_command_that_cannot_be_started_for_the_old_file_only_is_broken(bench: Any) -> None:
    (bench.live / "a").write_text("old\n")
    outcome = bench.apply({"a": "new\n"}, command=f"grep old {bench.live}/a && exec no-such-reload; exit 1")["a"]
    assert isinstance(outcome, Broken)


def test_a_broken_group_is_frozen_until_the_old_reloads(bench: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    command = f"test -e {bench.root}/server && cat {bench.live}/app.conf >> {bench.log}"
    assert isinstance(bench.apply({"app.conf": "new\n"}, command=command)["app.conf"], Broken)
    assert isinstance(bench.apply({"app.conf": "newer\n"}, command=command)["app.conf"], Broken)
    assert bench.files()["app.conf"] == "old\n"
    (bench.root / "server").touch()
    assert bench.apply({"app.conf": "newer\n"}, command=command) == {"app.conf": Committed(proof=Proof.NONE)}
    assert bench.lines() == ["old", "newer"]
    assert bench.files() == {"app.conf": "newer\n"}
    assert bench.journal_files() == []


def test_what_broke_the_group_is_not_tried_again_in_the_same_breath(bench: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    command = f"test -e {bench.root}/server && cat {bench.live}/app.conf >> {bench.log}"
    bench.apply({"app.conf": "new\n"}, command=command)
    (bench.root / "server").touch()
    assert isinstance(bench.apply({"app.conf": "new\n"}, command=command)["app.conf"], RolledBack)
    assert bench.lines() == ["old"]
    assert bench.apply({"app.conf": "new\n"}, command=command) == {"app.conf": Committed(proof=Proof.NONE)}


def test_a_command_whose_failure_keeps_the_files_is_run_again_with_nothing_changed(bench: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    command = Command(f"echo try >> {bench.log}; test -e {bench.root}/chat", on_failure=OnFailure.KEEP)
    first = bench.apply({"app.conf": "new\n"}, command=command)["app.conf"]
    assert isinstance(first, Committed)
    assert "exit 1" in first.pending
    assert bench.files() == {"app.conf": "new\n"}
    second = bench.apply({"app.conf": "new\n"}, command=command)["app.conf"]
    assert isinstance(second, Committed)
    assert second.pending
    (bench.root / "chat").touch()
    assert bench.recover() == {"app.conf": Committed(proof=Proof.NONE)}
    assert bench.lines() == ["try"] * 3
    assert bench.journal_files() == []
    assert bench.apply({"app.conf": "new\n"}, command=command) == {}


def test_a_pending_command_is_run_along_with_the_next_change(bench: Any) -> None:
    keep = Command(f"echo chat >> {bench.log}; test -e {bench.root}/chat", on_failure=OnFailure.KEEP)
    bench.apply({"a": "1\n"}, command=keep)
    other = bench.apply({"b": "1\n"}, command=f"echo reload >> {bench.log}")
    assert other["b"] == Committed(proof=Proof.NONE)
    assert isinstance(other["a"], Committed)
    assert other["a"].pending
    (bench.root / "chat").touch()
    assert bench.apply({}) == {"a": Committed(proof=Proof.NONE)}
    assert bench.lines() == ["chat", "chat", "reload", "chat"]


def test_a_failing_notification_does_not_roll_the_reload_back(bench: Any) -> None:
    reload = bench.plan({"a": "1\n"}, command=f"echo reload >> {bench.log}")
    notify = bench.plan({"b": "1\n"}, command=Command("exit 9", on_failure=OnFailure.KEEP))
    outcomes = bench.short(bench.committer.apply(replace(reload, changes=(*reload.changes, *notify.changes))))
    assert outcomes["a"] == Committed(proof=Proof.NONE)
    assert isinstance(outcomes["b"], Committed)
    assert "exit 9" in outcomes["b"].pending
    assert bench.files() == {"a": "1\n", "b": "1\n"}


def test_a_second_signal_during_the_command_restores(bench: Any, eventually: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    command = f"cat {bench.live}/app.conf >> {bench.log}; grep -q old {bench.live}/app.conf || sleep 30"
    outcomes: dict[str, Any] = {}
    thread = threading.Thread(target=lambda: outcomes.update(bench.apply({"app.conf": "new\n"}, command=command)))
    thread.start()
    eventually(lambda: bench.lines() == ["new"])
    bench.cancel.set()
    thread.join(20)
    assert isinstance(outcomes["app.conf"], RolledBack)
    assert bench.files() == {"app.conf": "old\n"}
    assert bench.lines() == ["new", "old"]


def test_a_second_signal_before_anything_is_live_changes_nothing(bench: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    bench.cancel.set()
    assert isinstance(bench.apply({"app.conf": "new\n"}, command="true")["app.conf"], Rejected)
    assert bench.files() == {"app.conf": "old\n"}


@as_root
def test_a_file_that_somebody_changes_during_the_check_is_not_committed(bench: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    replace_it = f"echo mine > {bench.live}/.x; mv {bench.live}/.x {bench.live}/app.conf"
    change = f"nsenter --target {os.getpid()} --mount sh -c '{replace_it}'"
    outcome = bench.apply({"app.conf": "new\n"}, checks=[change])["app.conf"]
    assert isinstance(outcome, Rejected)
    assert "changed by somebody else" in outcome.reason
    assert bench.files() == {"app.conf": "mine\n"}


def test_a_file_that_somebody_changes_during_the_command_is_left_alone_by_the_roll_back(bench: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    command = f"echo mine > {bench.live}/app.conf; test -e {bench.root}/twice || {{ touch {bench.root}/twice; false; }}"
    assert isinstance(bench.apply({"app.conf": "new\n"}, command=command)["app.conf"], RolledBack)
    assert (bench.live / "app.conf").read_text() == "mine\n"
    (said,) = bench.events(LeftAlone)
    assert Path(said.backup).read_text() == "old\n"


def test_an_unexpected_exception_of_a_reloader_still_brings_the_old_file_back(bench: Any) -> None:
    class Strange(PlainReloader):
        def reload(self, *, check_seconds: float, cancel: threading.Event) -> Proof:
            if (bench.live / "app.conf").read_text() == "new\n":
                raise RuntimeError("surprise")
            return super().reload(check_seconds=check_seconds, cancel=cancel)

    (bench.live / "app.conf").write_text("old\n")
    around = Surroundings(
        journals=Journals(bench.journals),
        sandbox=sandbox.Sandbox(bench.journals),
        reloader=lambda command: Strange(command, emit=bench.told.append),
        emit=bench.told.append,
        cancel=bench.cancel,
    )
    ending = Transaction(bench.plan({"app.conf": "new\n"}, command="true"), around).run()
    (outcome,) = ending.outcomes.values()
    assert isinstance(outcome, RolledBack)
    assert "surprise" in outcome.reason
    assert bench.files() == {"app.conf": "old\n"}


def test_a_check_that_hangs_is_killed_at_its_deadline_and_refuses(bench: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    check = Command("sleep 30", timeout=0.2)
    outcome = bench.apply({"app.conf": "new\n"}, checks=[check])["app.conf"]
    assert isinstance(outcome, Rejected | RolledBack)
    assert "killed after" in outcome.reason
    assert bench.files() == {"app.conf": "old\n"}


def test_a_check_that_does_not_exist_refuses_without_accusing_a_file(bench: Any) -> None:
    check = Command(("no-such-checker", "-t"))
    outcomes = bench.apply({"a": "1\n", "b": "1\n"}, checks=[check])
    assert all(isinstance(outcome, Rejected | RolledBack) for outcome in outcomes.values())
    assert "no-such-checker" in outcomes["a"].reason  # type: ignore[union-attr]
    assert bench.files() == {}


def test_a_missing_program_of_the_command_is_found_before_anything_is_touched(bench: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    outcome = bench.apply({"app.conf": "new\n"}, command=Command(("no-such-server", "reload")))["app.conf"]
    assert isinstance(outcome, Rejected)
    assert outcome.step is Step.STAGE
    assert bench.files() == {"app.conf": "old\n"}
    assert not bench.journals.exists()


def test_a_journal_that_cannot_be_written_means_that_nothing_goes_live(bench: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    bench.journals.parent.mkdir()
    bench.journals.write_text("in the way")
    outcome = bench.apply({"app.conf": "new\n"}, command=f"echo ran >> {bench.log}")["app.conf"]
    assert isinstance(outcome, Rejected)
    assert "journal" in outcome.reason
    assert bench.files() == {"app.conf": "old\n"}
    assert bench.lines() == []


def test_a_command_that_is_no_text_is_rejected_and_nothing_is_left(bench: Any) -> None:
    outcome = bench.apply({"app.conf": "new\n"}, command=Command("true \udcff"))["app.conf"]
    assert isinstance(outcome, Rejected)
    assert "UTF-8" in outcome.reason
    assert bench.files() == {}


def test_what_a_check_says_of_a_sensitive_file_is_not_repeated(bench: Any) -> None:
    check = f"cat {bench.live}/secret; false"
    outcome = bench.apply({"secret": "hunter2\n"}, checks=[check], sensitive=True)["secret"]
    assert "hunter2" not in outcome.reason  # type: ignore[union-attr]
    assert not any("hunter2" in event.text() for event in bench.told)
    assert not bench.rejected.exists()


def test_what_a_command_says_of_a_sensitive_file_is_nowhere(bench: Any) -> None:
    outcome = bench.apply({"secret": "hunter2\n"}, command=f"cat {bench.live}/secret && exit 3", sensitive=True)[
        "secret"
    ]
    assert isinstance(outcome, RolledBack | Broken)
    assert "hunter2" not in outcome.reason
    assert bench.events(CommandFailed)
    assert not any("hunter2" in event.text() for event in bench.told)


def test_a_refused_rendering_is_kept_for_a_look_and_told_once(bench: Any) -> None:
    (bench.live / "app.conf").write_text("old\n")
    for _ in range(2):
        bench.apply({"app.conf": "bad\n"}, checks=["echo its words; false"])
    (said,) = bench.events(RenderingRefused)
    assert said.output == "its words"
    assert "-old" in said.diff
    assert "+bad" in said.diff
    assert Path(said.kept).read_text() == "bad\n"
    assert Path(said.kept).stat().st_mode & 0o777 == 0o600
    bench.apply({"app.conf": "good\n"}, checks=["true"])
    assert list(bench.rejected.iterdir()) == []


@as_root
def test_a_directory_with_something_mounted_below_it_is_tested_after_the_swap(bench: Any) -> None:
    (bench.live / "below").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", bench.live / "below"], check=True)
    try:
        outcomes = bench.apply({"app.conf": "new\n"}, checks=[f"grep -q new {bench.live}/app.conf"])
    finally:
        subprocess.run(["umount", bench.live / "below"], check=True)
    assert outcomes == {"app.conf": Committed(proof=Proof.NO_COMMAND)}
    assert any("swapped first and tested then" in event.text() for event in bench.events(Warned))
