"""What a group does with its transactions: culprits, turns between groups, one line an outcome."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from ctemplate.changes import Command, Committed, Proof, Rejected, RolledBack
from ctemplate.commit.events import CommitDone, CommitRejected, CommitRolledBack, RenderingRefused
from ctemplate.commit.group import Committer
from ctemplate.commit.reload.plain import PlainReloader
from ctemplate.events import Emit


def test_nothing_to_change_runs_nothing_and_says_nothing(bench: Any) -> None:
    (bench.live / "a").write_text("same\n")
    assert bench.apply({"a": "same\n"}, checks=[f"echo >> {bench.log}"], command=f"echo >> {bench.log}") == {}
    assert (bench.lines(), bench.told) == ([], [])


def test_the_culprit_is_held_and_named_and_the_others_are_committed_with_one_reload(bench: Any) -> None:
    check = f'for f in {bench.live}/*; do grep -q bad $f && echo "$f is bad" && exit 1; done; exit 0'
    contents = dict.fromkeys("abde", "good\n") | {"c": "bad\n"}
    outcomes = bench.apply(contents, checks=[check], command=f"echo reload >> {bench.log}")
    culprit = outcomes.pop("c")
    assert isinstance(culprit, Rejected | RolledBack)
    assert f"{bench.live}/c is bad" in culprit.reason
    assert set(outcomes.values()) == {Committed(proof=Proof.NONE)}
    assert bench.files() == dict.fromkeys("abde", "good\n")
    assert bench.lines() == ["reload"]
    assert [event.template for event in bench.events(RenderingRefused)] == [str(bench.live / "c")]


def test_in_an_atomic_group_the_culprit_holds_all(bench: Any) -> None:
    check = f"! grep -q bad {bench.live}/*"
    outcomes = bench.apply({"a": "good\n", "c": "bad\n"}, checks=[check], command=f"echo >> {bench.log}", atomic=True)
    assert all(isinstance(outcome, Rejected | RolledBack) for outcome in outcomes.values())
    assert bench.files() == {}
    assert bench.lines() == []


def test_a_failing_reload_rolls_all_files_of_the_transaction_back(bench: Any) -> None:
    (bench.live / "a").write_text("old\n")
    outcomes = bench.apply({"a": "good\n", "c": "bad\n"}, command=f"! grep -q bad {bench.live}/*")
    assert all(isinstance(outcome, RolledBack) for outcome in outcomes.values())
    assert bench.files() == {"a": "old\n"}


def test_the_same_plan_succeeds_once_its_command_works(bench: Any) -> None:
    (bench.live / "a").write_text("old\n")
    command = f"test -e {bench.root}/up || grep -q old {bench.live}/a"
    assert isinstance(bench.apply({"a": "new\n"}, command=command)["a"], RolledBack)
    (bench.root / "up").touch()
    assert bench.apply({"a": "new\n"}, command=command) == {"a": Committed(proof=Proof.NONE)}


def test_each_outcome_is_one_line_with_its_files(bench: Any) -> None:
    check = f"! grep -q bad {bench.live}/*"
    bench.apply({"a": "good\n", "b": "good\n", "c": "bad\n"}, checks=[check], command="true")
    (done,) = bench.events(CommitDone)
    assert done.templates == (str(bench.live / "a"), str(bench.live / "b"))
    (refused,) = bench.events(CommitRejected) + bench.events(CommitRolledBack)
    assert refused.templates == (str(bench.live / "c"),)
    assert "\n" not in done.text() + refused.text()


@pytest.mark.parametrize("turn", ["one server", ""])
def test_groups_on_one_server_take_turns_and_others_do_not_wait(tmp_path: Path, bench: Any, turn: str) -> None:
    """Both reloads meet at a barrier: they get past it exactly when they run at the same time."""
    barrier = threading.Barrier(2)
    met: list[bool] = []

    class Meeting(PlainReloader):
        def reload(self, *, check_seconds: float, cancel: threading.Event) -> Proof:
            try:
                barrier.wait(0.5 if turn else 10)
                met.append(True)
            except threading.BrokenBarrierError:
                met.append(False)
            return Proof.NONE

    def make(command: Command, *, emit: Emit) -> Meeting:
        reloader = Meeting(command, emit=emit)
        reloader.turn = turn
        return reloader

    committer = Committer(
        journal_dir=bench.journals,
        rejected_dir=bench.rejected,
        emit=bench.told.append,
        cancel=bench.cancel,
        reloader=make,
    )
    plans = []
    for group in ("one", "two"):
        bench.group = group
        plans.append(bench.plan({group: "x\n"}, command=f"reload {group}"))
    threads = [threading.Thread(target=committer.apply, args=(plan,)) for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert met == ([False, False] if turn else [True, True])
