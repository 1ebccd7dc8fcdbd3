"""The steps that a transaction and a recovery share: judge, test, run the commands, put back, end the journal.

Each does one thing to the whole set of files and raises `CommitError` when it cannot; what that means
is said by the tables in `commit.transaction` and `commit.recovery`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from ctemplate.changes import Command, Committed, OnFailure, Outcome, Proof, Step
from ctemplate.commit import files
from ctemplate.commit.command import Result, run
from ctemplate.commit.events import LeftAlone
from ctemplate.commit.files import Entry, Standing
from ctemplate.commit.journal import Journal, Journals, Phase
from ctemplate.commit.reload.base import Reloader
from ctemplate.commit.reload.plain import ReloadFailed
from ctemplate.commit.sandbox import NO_VERDICT, Sandbox
from ctemplate.errors import CommitError, FileError
from ctemplate.events import Emit, Warned

WITHHELD = "(withheld: a sensitive template takes part)"
"""What stands for the words of a check or a command that may repeat what a sensitive template printed."""
REASON_CHARACTERS = 600
"""What a reason holds of a checker's words; all that was kept of them is in `CheckFailed.output`."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What every transaction of a process shares."""

    journals: Journals
    sandbox: Sandbox
    reloader: Callable[[Command], Reloader]
    emit: Emit
    cancel: threading.Event
    """Set: a running command is killed, and what is live and not proved is restored."""


class Ran(msgspec.Struct):
    """What running a group's commands came to, also when it ended early."""

    tried: list[Command] = msgspec.field(default_factory=list)
    proofs: dict[Command, Proof] = msgspec.field(default_factory=dict)
    pending: dict[Command, str] = msgspec.field(default_factory=dict)
    """Those whose failure keeps the files, with the reason: they are to be run again."""
    not_found: set[Command] = msgspec.field(default_factory=set)
    """Those that ended as a shell does when a program cannot be run."""


class CheckFailed(CommitError):
    """A check refused the files; which of them is at fault is for a search to find."""

    def __init__(self, step: Step, check: Command, result: Result, *, sensitive: bool) -> None:
        self.output = WITHHELD if sensitive else result.output
        words = " | ".join(line.strip() for line in self.output.splitlines() if line.strip())
        if len(words) > REASON_CHARACTERS:
            words = words[:REASON_CHARACTERS] + " …"
        super().__init__(step, f"{check}: {result.reason}" + (f": {words}" if words else ""))


@contextlib.contextmanager
def translated(step: Step, what: str, template: str = "") -> Iterator[None]:
    """Turn an `OSError` into a `CommitError` of this step that says what could not be done, and why."""
    try:
        yield
    except OSError as error:
        reason = f"{what}: {error.strerror or error}"
        raise (FileError(step, template, reason) if template else CommitError(step, reason)) from error


def go_on(step: Step, cancel: threading.Event) -> None:
    """Raise if the process was told a second time to end."""
    if cancel.is_set():
        raise CommitError(step, "stopped by a second signal")


def judge(step: Step, check: Command, result: Result, *, sensitive: bool) -> None:
    """Raise `CheckFailed` if the check refused, `CommitError` if it came to no verdict at all."""
    if result.code == 0:
        return
    if result.code is None or result.code in NO_VERDICT:
        raise CommitError(step, f"{check}: {result.reason}")
    raise CheckFailed(step, check, result, sensitive=sensitive)


def test_live(checks: Sequence[Command], *, sensitive: bool, cancel: threading.Event) -> float:
    """Run the checks where everyone sees the files; returns how long the slowest took, in seconds."""
    slowest = 0.0
    for check in checks:
        go_on(Step.TEST, cancel)
        result = run(check, cancel=cancel)
        judge(Step.TEST, check, result, sensitive=sensitive)
        slowest = max(slowest, result.seconds)
    return slowest


def run_commands(
    commands: Sequence[Command],
    around: Surroundings,
    ran: Ran,
    *,
    check_seconds: float,
    sensitive: bool,
    cancel: threading.Event,
) -> None:
    """Run the commands in their order, each with its proof, and note in `ran` what came of them.

    Raises `CommitError` at the first failure that does not keep the files.
    """
    for command in commands:
        go_on(Step.RELOAD, cancel)
        ran.tried.append(command)
        try:
            ran.proofs[command] = around.reloader(command).reload(check_seconds=check_seconds, cancel=cancel)
        except CommitError as error:
            if isinstance(error, ReloadFailed) and error.code in NO_VERDICT:
                ran.not_found.add(command)
            reason = f"{command}: {WITHHELD}"
            fault = CommitError(error.step, reason) if sensitive else error
            if command.on_failure is OnFailure.KEEP and not cancel.is_set():
                ran.pending[command] = fault.reason
                continue
            raise fault from None
        except Exception as error:  # files are live and unproved: whatever happens, they must be taken back
            raise CommitError(Step.RELOAD, f"{command}: {type(error).__name__}: {error}") from error


def committed(entries: Sequence[Entry], ran: Ran) -> dict[str, Outcome]:
    """Return the outcome of each file by what its own command came to."""
    outcomes: dict[str, Outcome] = {}
    for entry in entries:
        proof, pending = Proof.NO_COMMAND, ""
        if entry.command is not None:
            proof, pending = ran.proofs.get(entry.command, Proof.NONE), ran.pending.get(entry.command, "")
        outcomes[entry.template] = Committed(proof=proof, pending=pending)
    return outcomes


def restore_all(entries: Sequence[Entry], directories: Sequence[str], *, emit: Emit) -> None:
    """Put every old file back, durably; what somebody else has written meanwhile is left alone, and said.

    Goes through all of them before it raises `CommitError`, so that one fault costs one file.
    """
    faults: list[str] = []
    for entry in entries:
        try:
            if files.restore(entry) is Standing.FOREIGN:
                backup = files.set_backup_aside(entry)
                emit(LeftAlone(destination=entry.destination, backup="" if backup is None else str(backup)))
        except CommitError as error:
            faults.append(error.reason)
        except OSError as error:
            faults.append(f"{entry.destination} cannot be put back: {error.strerror or error}")
    try:
        files.sync(entry.directory for entry in entries if entry.directory.is_dir())
    except OSError as error:
        faults.append(f"the restored files cannot be synced: {error.strerror or error}")
    if faults:
        raise CommitError(Step.RESTORE, "; ".join(faults))
    for directory in reversed(directories):
        with contextlib.suppress(OSError):  # somebody has put something there
            Path(directory).rmdir()


def reload_old(
    commands: Sequence[Command],
    around: Surroundings,
    *,
    not_found: Collection[Command] = (),
    check_seconds: float,
    sensitive: bool,
) -> Ran:
    """Run the commands again for the restored files. A signal to end does not stop this. Raises `CommitError`.

    A command that could not be run for the new files (`not_found`) and cannot be run for the old ones either
    has told the server the same both times, as a rule nothing at all: another try would do no more, so it is
    no failure.
    """
    ran, unstopped = Ran(), threading.Event()
    for command in commands:
        try:
            run_commands((command,), around, ran, check_seconds=check_seconds, sensitive=sensitive, cancel=unstopped)
        except CommitError:
            if not (command in not_found and command in ran.not_found):
                raise
    return ran


def end_journal(journal: Journal, around: Surroundings, *, pending: Sequence[Command]) -> bool:
    """Drop the journal, or leave in it only the commands that are still to be run: the commit point.

    Returns whether that is on disk. If not, the next start finishes or undoes once more, and for that
    the old files have to stay.
    """
    try:
        if pending:
            around.journals.prepare()
            around.journals.write(_only_pending(journal, pending))
        else:
            around.journals.drop(journal.group)
    except OSError as error:
        fault = f"the journal {around.journals.path(journal.group)} cannot be ended: {error.strerror or error}"
        around.emit(Warned(message=f"{journal.group}: {fault}; this commit will be finished or undone once more"))
        return False
    return True


def _only_pending(journal: Journal, pending: Sequence[Command]) -> Journal:
    files_of = {entry.template: entry for entry in (*journal.waiting, *journal.entries)}
    return Journal(
        group=journal.group,
        phase=Phase.PENDING,
        waiting=tuple(entry for entry in files_of.values() if entry.command in pending),
        commands=tuple(pending),
        check_seconds=journal.check_seconds,
        sensitive=journal.sensitive,
    )
