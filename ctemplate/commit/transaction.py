"""One commit of one group's files, from staging to proof: the table, and nothing else.

    step     does                                              on failure
    STAGE    write and sync the new files beside the old ones  discard             → Rejected
    CHECK    the check, where the staged files stand in place  discard             → Rejected
    SWAP     keep the old files, journal                       discard             → Rejected
             rename, sync                                      restore             → RolledBack
    TEST     the check on the live tree                        restore             → RolledBack
    RELOAD   the commands, with a deadline                     restore, reload old → RolledBack
    VERIFY   proof                                             restore, reload old → RolledBack
    commit   backups, drop the journal, forget the old files   → Committed
    any restore, or the old reload, fails                      keep journal and old files → Broken

A command that can be run neither for the new files nor for the old ones (exit 126, 127) breaks nothing.
CHECK needs a namespace, and TEST is left out only for checks that CHECK has run there and that are
known to look at nothing but local files. What is synced when was found by laying out every state that
a crash may leave: staged and old files with their directories, then the journal and its directory,
then the renamed directories, then the journal's end, which is the commit point. One file without
check and command needs no journal: its rename is the transaction.

Plain synchronous code for a worker thread. Who waits for whom, and who is at fault, is
`commit.group`'s; what a journal found at start means is `commit.recovery`'s.
"""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path

import msgspec

from ctemplate.changes import Broken, Command, Outcome, Plan, Rejected, RolledBack, Step
from ctemplate.commit import files
from ctemplate.commit.events import WrittenInPlace
from ctemplate.commit.files import Entry
from ctemplate.commit.journal import Journal, Phase
from ctemplate.commit.reading import fingerprint
from ctemplate.commit.reload.known import is_known_local_check
from ctemplate.commit.sandbox import NoNamespace
from ctemplate.commit.steps import (
    Ran,
    Surroundings,
    committed,
    end_journal,
    go_on,
    judge,
    reload_old,
    restore_all,
    run_commands,
    test_live,
    translated,
)
from ctemplate.errors import CommitError, FileError
from ctemplate.events import Warned


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a transaction ended."""

    outcomes: dict[str, Outcome]
    """By template, for every file of the plan; empty for a trial, unless something broke."""
    error: CommitError | None = None
    """What refused or undid it."""


class Transaction:
    """A plan on its way to being what is running. Good for one `run` or one `trial`."""

    def __init__(self, plan: Plan, around: Surroundings, *, before: Journal | None = None) -> None:
        """`before`: what an earlier commit of this group left pending; its commands are run along."""
        self._plan = plan
        self._around = around
        self._pending = () if before is None else before.commands
        self._waiting = () if before is None else before.waiting
        self._commands = tuple(dict.fromkeys((*self._pending, *plan.commands)))
        self._sensitive = any(change.sensitive for change in plan.changes)
        self._entries: list[Entry] = []
        self._directories: list[str] = []
        self._tests = plan.checks
        self._check_seconds = 0.0
        self._ran = Ran()

    def run(self) -> Ending:
        """Go through the table."""
        try:
            self._stage()
            self._check()
            self._keep_and_journal()
        except CommitError as error:
            return self._reject(error)
        try:
            self._swap()
            self._test()
        except CommitError as error:
            return self._roll_back(error, reload=False)
        try:
            self._reload()
        except CommitError as error:
            return self._roll_back(error, reload=True)
        return self._commit()

    def trial(self) -> Ending:
        """See what the checks say, and leave everything as it was.

        Where there is no namespace the files are live for as long as the test takes; nothing is reloaded.
        """
        refusal: CommitError | None = None
        try:
            self._stage()
            self._check()
            if not self._tests:
                self._discard()
                return Ending(outcomes={})
            self._keep_and_journal()
        except CommitError as error:
            return self._reject(error)
        try:
            self._swap()
            self._test()
        except CommitError as error:
            refusal = error
        try:
            self._take_back(reload=False)
        except CommitError as fault:
            return Ending(outcomes=self._all(Broken(reason=fault.reason)), error=fault)
        return Ending(outcomes={}, error=refusal)

    # The steps

    def _stage(self) -> None:
        go_on(Step.STAGE, self._around.cancel)
        for command in self._commands:
            self._around.reloader(command).verify_setup()
        ident = secrets.token_hex(4)
        for change in self._plan.changes:
            directory = change.destination.parent
            if change.create_dirs:
                with translated(Step.STAGE, f"{directory} cannot be made", change.template):
                    self._directories += map(str, files.make_directories(directory))
            self._entries.append(files.stage(change, ident=ident))

    def _check(self) -> None:
        sandbox = self._around.sandbox
        if not self._plan.checks or sandbox.refusal:
            return
        try:
            with translated(Step.CHECK, "the check cannot be run in a namespace"):
                before = self._fingerprints()
                for check in self._plan.checks:
                    go_on(Step.CHECK, self._around.cancel)
                    result = sandbox.run(check, self._entries, cancel=self._around.cancel)
                    judge(Step.CHECK, check, result, sensitive=self._sensitive)
                    self._check_seconds = max(self._check_seconds, result.seconds)
                after = self._fingerprints()
        except NoNamespace as error:
            self._around.emit(Warned(message=f"{self._plan.group}: swapped first and tested then, because {error}"))
            return
        for entry, was, now in zip(self._entries, before, after, strict=True):
            if was != now:  # a rename over it takes the staged file's mount away: the check may have seen anything
                reason = f"{entry.destination} was changed by somebody else during the check"
                raise FileError(Step.CHECK, entry.template, reason)
        self._tests = tuple(check for check in self._plan.checks if not is_known_local_check(check))

    def _keep_and_journal(self) -> None:
        go_on(Step.SWAP, self._around.cancel)
        with translated(Step.SWAP, "the old files cannot be kept"):
            for place, (entry, change) in enumerate(zip(self._entries, self._plan.changes, strict=True)):
                files.verify_staged(entry, change)
                self._entries[place] = files.keep_old(entry, change)
                if self._entries[place].in_place:
                    self._around.emit(WrittenInPlace(destination=entry.destination))
            if not self._needs_journal:
                return
            files.sync(entry.directory for entry in self._entries)
        with translated(Step.SWAP, f"the journal in {self._around.journals.directory} cannot be written"):
            try:
                self._around.journals.prepare()
                self._around.journals.write(self._journal(Phase.SWAP))
            except OSError:
                with contextlib.suppress(OSError):
                    end_journal(self._journal(Phase.SWAP), self._around, pending=self._pending)
                raise

    def _swap(self) -> None:
        for entry in self._entries:
            with translated(Step.SWAP, f"{entry.destination} cannot be replaced", entry.template):
                files.swap(entry)
        with translated(Step.SWAP, "the directories cannot be synced"):
            files.sync(entry.directory for entry in self._entries)

    def _test(self) -> None:
        seconds = test_live(self._tests, sensitive=self._sensitive, cancel=self._around.cancel)
        self._check_seconds = max(self._check_seconds, seconds)

    def _reload(self) -> None:
        run_commands(
            self._commands,
            self._around,
            self._ran,
            check_seconds=self._check_seconds,
            sensitive=self._sensitive,
            cancel=self._around.cancel,
        )

    # The ends

    def _reject(self, error: CommitError) -> Ending:
        self._discard()
        return Ending(outcomes=self._all(Rejected(step=error.step, reason=error.reason)), error=error)

    def _roll_back(self, error: CommitError, *, reload: bool) -> Ending:
        try:
            self._take_back(reload=reload)
        except CommitError as fault:
            broken = Broken(reason=f"{error.step}: {error.reason}; then {fault.step}: {fault.reason}")
            return Ending(outcomes=self._all(broken), error=error)
        return Ending(outcomes=self._all(RolledBack(step=error.step, reason=error.reason)), error=error)

    def _take_back(self, *, reload: bool) -> None:
        pending = self._pending
        try:
            restore_all(self._entries, self._directories, emit=self._around.emit)
            if reload:
                tried = self._ran.tried
                ran = reload_old(
                    tried,
                    self._around,
                    not_found=self._ran.not_found,
                    check_seconds=self._check_seconds,
                    sensitive=self._sensitive,
                )
                pending = (*(command for command in pending if command not in tried), *ran.pending)
        except CommitError:
            with contextlib.suppress(OSError):  # the journal says SWAP then, and recovery finds out by itself
                self._around.journals.prepare()
                self._around.journals.write(self._journal(Phase.UNDO))
            raise
        self._end(pending)

    def _commit(self) -> Ending:
        try:
            for entry in self._entries:
                files.make_backup(entry)
            files.sync(entry.directory for entry in self._entries if entry.backup)
        except OSError as error:
            self._around.emit(Warned(message=f"{self._plan.group}: NAME.bak cannot be kept: {error}"))
        self._end(tuple(self._ran.pending))
        return Ending(outcomes=committed((*self._waiting, *self._entries), self._ran))

    def _end(self, pending: tuple[Command, ...]) -> None:
        if not self._needs_journal or end_journal(self._journal(Phase.SWAP), self._around, pending=pending):
            for entry in self._entries:
                files.discard(entry)

    def _discard(self) -> None:
        for entry in self._entries:
            files.discard(entry)
        for directory in reversed(self._directories):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()

    # What they need

    @property
    def _needs_journal(self) -> bool:
        alone = len(self._entries) == 1 and not self._entries[0].in_place
        return bool(self._commands or self._plan.checks or not alone)

    def _journal(self, phase: Phase) -> Journal:
        return Journal(
            group=self._plan.group,
            phase=phase,
            entries=tuple(self._entries),
            waiting=self._waiting,
            checks=self._plan.checks,
            commands=self._commands,
            directories=tuple(self._directories),
            check_seconds=self._check_seconds,
            sensitive=self._sensitive,
        )

    def _fingerprints(self) -> list[tuple[int, ...] | None]:
        return [fingerprint(Path(entry.destination)) for entry in self._entries]

    def _all(self, outcome: Outcome) -> dict[str, Outcome]:
        return {change.template: outcome for change in self._plan.changes}
