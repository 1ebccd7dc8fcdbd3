"""Commits a group's plan: what an earlier commit left is done first, culprits are found, turns are taken.

The one object of this package that the engine talks to, from a worker thread per group. It decides
which transactions there are; what a transaction is, is `commit.transaction`'s.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from ctemplate.changes import Broken, Change, Command, Outcome, Plan, Rejected, RolledBack, Step
from ctemplate.commit import leftovers, sandbox
from ctemplate.commit.culprits import search
from ctemplate.commit.events import CommandRan, JournalSetAside
from ctemplate.commit.journal import DamagedJournal, Journal, Journals, Phase
from ctemplate.commit.reading import digest, read
from ctemplate.commit.recovery import Recovery
from ctemplate.commit.rejected import Refusals
from ctemplate.commit.reload.base import MakeReloader, Reloader
from ctemplate.commit.reload.known import reloader_for
from ctemplate.commit.sandbox import Sandbox
from ctemplate.commit.steps import WITHHELD, CheckFailed, Surroundings
from ctemplate.commit.telling import tell
from ctemplate.commit.transaction import Ending, Transaction
from ctemplate.errors import CommitError, FileError
from ctemplate.events import Emit, Event, Warned

NAMESPACE, SWAP_THEN_TEST = "mount namespace", "swap then test"
_JUDGED = (Step.CHECK, Step.TEST, Step.RELOAD, Step.VERIFY)
"""The steps at which the content itself was refused, rather than a disk."""


class Committer:
    """Commits plans and finishes what an earlier process left."""

    def __init__(
        self,
        *,
        journal_dir: Path,
        rejected_dir: Path,
        emit: Emit,
        cancel: threading.Event,
        reloader: MakeReloader = reloader_for,
    ) -> None:
        """`reloader` makes what runs a command, once a command; by default those of the servers that we know."""
        self._journals = Journals(journal_dir)
        self._refusals = Refusals(rejected_dir, emit=emit)
        self._emit = emit
        self._make_reloader = reloader
        self._reloaders: dict[tuple[Command, bool], Reloader] = {}
        self._turns: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._around = Surroundings(
            journals=self._journals,
            sandbox=Sandbox(journal_dir),
            reloader=self._reloader,
            emit=emit,
            cancel=cancel,
        )

    @property
    def protection(self) -> str:
        """Which of the two keeps unchecked files from being live on this machine; tried once."""
        return SWAP_THEN_TEST if self._around.sandbox.refusal else NAMESPACE

    @property
    def protection_refusal(self) -> str:
        """Why there is no mount namespace on this machine; empty if there is."""
        return self._around.sandbox.refusal

    def apply(self, plan: Plan) -> dict[str, Outcome]:
        """Commit a plan; returns the outcome of every template in it, and of those that were pending.

        Also with nothing to change it runs the commands that are pending, and puts back what could not
        be put back before. Never raises for what a disk, a check or a command does.
        """
        started = time.monotonic()
        outcomes: dict[str, Outcome] = dict(plan.refused)
        path = self._journals.path(plan.group)
        try:
            before = self._load(path) if path.exists() else None
        except OSError as error:
            reason = f"the journal {path} cannot be read or set aside: {error.strerror}"
            outcomes |= {change.template: Rejected(step=Step.STAGE, reason=reason) for change in plan.changes}
            return self._report(plan, outcomes, started)
        if not plan.changes and before is None:
            return self._report(plan, outcomes, started)
        with self._turn(plan.commands if before is None else (*before.commands, *plan.commands)):
            if before is not None and (before.phase is not Phase.PENDING or not plan.changes):
                redone = Recovery(journal=before, around=self._around_for(sensitive=before.sensitive)).run()
                outcomes |= redone
                plan, before = self._after(plan, before, redone), None
                outcomes |= plan.refused
            if plan.changes:
                outcomes |= self._commit(plan, before)
        return self._report(plan, outcomes, started)

    def recover(self) -> dict[str, Outcome]:
        """Finish or undo what an earlier process left: every journal there is. For the start, before any `apply`."""
        outcomes: dict[str, Outcome] = {}
        sandbox.sweep(self._journals.directory)
        for path in self._journals.paths():
            started = time.monotonic()
            try:
                journal = self._load(path)
            except OSError as error:  # its group commits nothing until it can be read
                self._emit(Warned(message=f"the journal {path} cannot be read or set aside: {error.strerror}"))
                continue
            if journal is None:
                continue
            with self._turn(journal.commands):
                found = Recovery(journal=journal, around=self._around_for(sensitive=journal.sensitive)).run()
            outcomes |= self._report(Plan(group=journal.group, changes=()), found, started)
        return outcomes

    def sweep_leftovers(self, destinations: Iterable[Path]) -> None:
        """Remove what interrupted commits left beside these destinations; for the start, after `recover`.

        Files that a journal still speaks of stay, and so does every kept old file while a journal is set aside.
        """
        leftovers.sweep(destinations, journals=self._journals, emit=self._emit)

    def _commit(self, plan: Plan, before: Journal | None) -> dict[str, Outcome]:
        """Commit what can be committed of a plan, and find who is at fault for the rest."""
        held: dict[str, Outcome] = {}
        while True:
            sensitive = any(change.sensitive for change in plan.changes)
            ending = Transaction(plan, self._around_for(sensitive=sensitive), before=before).run()
            if _is_broken(ending):
                return held | ending.outcomes
            try:
                rest = self._without_culprits(plan, ending, held, before)
            except _TrialBroken as trial:
                return held | {change.template: trial.outcome for change in plan.changes}
            if rest is None:
                self._tell_refused(plan, ending)
                return held | ending.outcomes
            if not rest.changes:
                return held
            plan = rest

    def _without_culprits(
        self, plan: Plan, ending: Ending, held: dict[str, Outcome], before: Journal | None
    ) -> Plan | None:
        """Return the plan without those that are at fault, who are added to `held`; None if it ends here."""
        error = ending.error
        if error is None or plan.atomic or len(plan.changes) == 1 or self._around.cancel.is_set():
            return None
        if isinstance(error, FileError):
            held[error.template] = ending.outcomes[error.template]
            return _only(plan, [change for change in plan.changes if change.template != error.template])
        if not isinstance(error, CheckFailed):
            return None

        def refuses(changes: Sequence[Change]) -> CommitError | None:
            trial = Transaction(_only(plan, changes), self._around, before=before).trial()
            if _is_broken(trial):
                raise _TrialBroken(trial)
            return trial.error

        accepted, culprits = search(plan.changes, refuses)
        for change, refusal in culprits:
            held[change.template] = _refused(refusal)
            if isinstance(refusal, CheckFailed):
                self._refusals.tell(change, output=refusal.output)
        return _only(plan, accepted) if culprits else None

    def _tell_refused(self, plan: Plan, ending: Ending) -> None:
        error = ending.error
        for change in plan.changes:
            if error is None:
                self._refusals.forget(change.template)
            elif error.step in _JUDGED and not self._around.cancel.is_set():
                self._refusals.tell(change, output=error.output if isinstance(error, CheckFailed) else error.reason)

    def _after(self, plan: Plan, before: Journal, redone: dict[str, Outcome]) -> Plan:
        """Return what is left of a plan once an earlier commit was finished or undone, compared with the disk anew.

        What has just been undone is not tried again at once, and nothing is while something is broken.
        """
        if any(isinstance(outcome, Broken) for outcome in redone.values()):
            reason = f"group {plan.group} is frozen until an earlier commit can be put back"
            frozen = {change.template: Broken(reason=reason) for change in plan.changes}
            return msgspec.structs.replace(_only(plan, ()), refused={**plan.refused, **frozen})
        undone = {
            entry.template: entry.new for entry in before.entries if isinstance(redone.get(entry.template), RolledBack)
        }
        again: list[Change] = []
        for change in plan.changes:
            if undone.get(change.template) == digest(change.content):
                if plan.atomic:
                    return _only(plan, ())
                continue
            try:
                old = read(change.destination)
            except OSError:
                continue  # what cannot be read now is compared again at the group's next commit
            if old != change.content:
                again.append(msgspec.structs.replace(change, old=old))
        return _only(plan, again)

    def _report(self, plan: Plan, outcomes: dict[str, Outcome], started: float) -> dict[str, Outcome]:
        tell(plan.group, outcomes, seconds=time.monotonic() - started, emit=self._emit)
        return outcomes

    def _load(self, path: Path) -> Journal | None:
        """Read a journal; one that cannot be acted on is set aside for a person, never guessed at."""
        try:
            return self._journals.load(path)
        except DamagedJournal as error:
            kept = self._journals.set_aside(path)
            self._emit(JournalSetAside(journal=str(kept), reason=str(error)))
            return None

    @contextlib.contextmanager
    def _turn(self, commands: Iterable[Command]) -> Iterator[None]:
        """Wait until no other group reloads the same server."""
        turns = sorted({self._reloader(command).turn for command in commands} - {""})
        with contextlib.ExitStack() as held:
            for turn in turns:
                with self._lock:
                    lock = self._turns.setdefault(turn, threading.Lock())
                held.enter_context(lock)
            yield

    def _around_for(self, *, sensitive: bool) -> Surroundings:
        return msgspec.structs.replace(self._around, reloader=self._quiet_reloader) if sensitive else self._around

    def _reloader(self, command: Command) -> Reloader:
        return self._reloader_telling(command, self._emit, sensitive=False)

    def _quiet_reloader(self, command: Command) -> Reloader:
        """A reloader whose command's words reach no log: they may repeat what a sensitive template printed."""

        def emit(event: Event) -> None:
            if isinstance(event, CommandRan) and event.output:
                event = msgspec.structs.replace(event, output=WITHHELD)
            self._emit(event)

        return self._reloader_telling(command, emit, sensitive=True)

    def _reloader_telling(self, command: Command, emit: Emit, *, sensitive: bool) -> Reloader:
        with self._lock:
            key = command, sensitive
            if key not in self._reloaders:
                self._reloaders[key] = self._make_reloader(command, emit=emit)
            return self._reloaders[key]


def _only(plan: Plan, changes: Sequence[Change]) -> Plan:
    return msgspec.structs.replace(plan, changes=tuple(changes))


def _refused(error: CommitError) -> Outcome:
    """A trial's refusal as an outcome: where there is no namespace, the file was live while it was tested."""
    if error.step is Step.TEST:
        return RolledBack(step=error.step, reason=error.reason)
    return Rejected(step=error.step, reason=error.reason)


def _is_broken(ending: Ending) -> bool:
    return any(isinstance(outcome, Broken) for outcome in ending.outcomes.values())


class _TrialBroken(Exception):
    """A trial could not take its files back: nothing more may be tried."""

    def __init__(self, trial: Ending) -> None:
        self.outcome = next(iter(trial.outcomes.values()))
        super().__init__()
