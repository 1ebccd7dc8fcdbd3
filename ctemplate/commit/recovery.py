"""What an unfinished journal means, found at start or before a group's next commit: forward, or back.

    found                                          does                                    ends in
    PENDING                                        run the commands that are due           Committed
    SWAP, every destination new, the checks pass   reload, proof, drop the journal         Committed
    … but the checks, the reload or proof fail     restore, reload the old                 RolledBack
    SWAP, any destination not new                  restore what is new, reload the old     RolledBack
    UNDO                                           restore what is new, reload the old     RolledBack
    a restore or the old reload fails              keep journal and old files              Broken

Bytes that are neither old nor new were written by somebody else: they are left alone and said aloud,
and what stood there before is kept. Each step may be interrupted and done again. Reads no
configuration: the journal holds all it takes.
"""

from __future__ import annotations

import contextlib

import msgspec

from ctemplate.changes import Broken, Outcome, RolledBack, Step
from ctemplate.commit import files
from ctemplate.commit.events import JournalFound
from ctemplate.commit.files import Standing
from ctemplate.commit.journal import Journal, Phase
from ctemplate.commit.steps import (
    Ran,
    Surroundings,
    committed,
    end_journal,
    reload_old,
    restore_all,
    run_commands,
    test_live,
    translated,
)
from ctemplate.errors import CommitError
from ctemplate.events import Warned

_INTERRUPTED = "the commit was interrupted, and not all of its files were in place"
_BROKEN_BEFORE = "putting it back had failed before and was tried again"


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """Finishes or undoes what one journal speaks of."""

    journal: Journal
    around: Surroundings

    def run(self) -> dict[str, Outcome]:
        """Go through the table; returns the outcome of every template that the journal names."""
        match self.journal.phase:
            case Phase.PENDING:
                return self._run_pending()
            case Phase.UNDO:
                return self._back(CommitError(Step.RESTORE, _BROKEN_BEFORE))
            case Phase.SWAP:
                return self._finish_or_undo()

    def _run_pending(self) -> dict[str, Outcome]:
        ran = Ran()
        reason = ""
        try:
            self._run_commands(ran)
        except CommitError as error:  # stopped by a signal, or a command whose failure no longer undoes anything
            reason = error.reason
        left = [command for command in self.journal.commands if command not in ran.proofs]
        ran.pending |= {command: ran.pending.get(command, reason) for command in left}
        end_journal(self.journal, self.around, pending=left)
        return committed(self.journal.waiting, ran)

    def _finish_or_undo(self) -> dict[str, Outcome]:
        entries, ran = self.journal.entries, Ran()
        try:
            with translated(Step.TEST, "the destinations cannot be read"):
                found = [files.standing(entry) for entry in entries]
        except CommitError as error:
            return self._all(Broken(reason=f"{error.reason}; the interrupted commit stays as it is"))
        if any(standing is not Standing.NEW for standing in found):
            self._say("what is new is put back")
            return self._back(CommitError(Step.RESTORE, _INTERRUPTED))
        self._say("all of its files are in place, so it is finished")
        try:
            with translated(Step.SWAP, "the directories cannot be synced"):
                files.sync(entry.directory for entry in entries)
            seconds = test_live(self.journal.checks, sensitive=self.journal.sensitive, cancel=self.around.cancel)
            self._run_commands(ran, check_seconds=seconds)
        except CommitError as error:
            return self._back(error)
        try:
            for entry in entries:
                files.make_backup(entry)
            files.sync(entry.directory for entry in entries if entry.backup)
        except OSError as error:
            self.around.emit(Warned(message=f"{self.journal.group}: NAME.bak cannot be kept: {error}"))
        self._end(ran)
        return committed((*self.journal.waiting, *entries), ran)

    def _back(self, error: CommitError) -> dict[str, Outcome]:
        journal = self.journal
        try:
            restore_all(journal.entries, journal.directories, emit=self.around.emit)
            ran = reload_old(
                journal.commands, self.around, check_seconds=journal.check_seconds, sensitive=journal.sensitive
            )
        except CommitError as fault:
            with contextlib.suppress(OSError):  # the journal says SWAP then, and the next try finds out by itself
                self.around.journals.write(msgspec.structs.replace(journal, phase=Phase.UNDO))
            return self._all(Broken(reason=f"{error.step}: {error.reason}; then {fault.step}: {fault.reason}"))
        self._end(ran)
        return self._all(RolledBack(step=error.step, reason=error.reason))

    def _run_commands(self, ran: Ran, *, check_seconds: float = 0.0) -> None:
        run_commands(
            self.journal.commands,
            self.around,
            ran,
            check_seconds=max(check_seconds, self.journal.check_seconds),
            sensitive=self.journal.sensitive,
            cancel=self.around.cancel,
        )

    def _end(self, ran: Ran) -> None:
        if end_journal(self.journal, self.around, pending=tuple(ran.pending)):
            for entry in self.journal.entries:
                files.discard(entry)

    def _say(self, decision: str) -> None:
        self.around.emit(JournalFound(group=self.journal.group, decision=decision))

    def _all(self, outcome: Outcome) -> dict[str, Outcome]:
        return {entry.template: outcome for entry in self.journal.entries}
