"""What is told of commits: commands, how they ended, what was found of earlier ones (`ctemplate/events.py`)."""

from __future__ import annotations

from typing import ClassVar

from ctemplate.events import Event, Level

MOST_GROUP_CHARACTERS = 40
"""A group may be called by its whole command; its end tells commands apart better than its beginning."""


class CommandRan(Event, frozen=True, kw_only=True):
    """A check or a reload command ended well."""

    command: str
    code: int | None
    """None: it was killed at its deadline or on demand."""
    seconds: float
    output: str = ""
    """Its last lines."""
    reason: str = ""

    def text(self) -> str:
        """The command, how it ended, how long it took, and what it said."""
        said = f"\n{self.output}" if self.output else ""
        return f"`{self.command}`: {self.reason or 'ok'} ({self.seconds:.2f} s){said}"


class CommandFailed(CommandRan, frozen=True, kw_only=True):
    """A check or a reload command failed or was killed."""

    level: ClassVar[Level] = Level.ERROR


class Committing(Event, frozen=True, kw_only=True):
    """How a commit went for some templates of a group; the classes below say how."""

    group: str
    templates: tuple[str, ...]
    seconds: float
    """The whole transaction, for all of the group."""

    def _about(self) -> str:
        whole = len(self.group) <= MOST_GROUP_CHARACTERS
        group = self.group if whole else "…" + self.group[1 - MOST_GROUP_CHARACTERS :]
        return f"{', '.join(self.templates)} (group {group}, {self.seconds:.2f} s)"


class CommitDone(Committing, frozen=True, kw_only=True):
    """New files are in place, and what reads them was told."""

    proof: str

    def text(self) -> str:
        """Which files, and how we know that they are what is running."""
        return f"committed {self._about()}: proof: {self.proof}"


class CommitPending(Committing, frozen=True, kw_only=True):
    """New files are in place and stay, but a command failed and is to be run again."""

    level: ClassVar[Level] = Level.WARNING
    reason: str

    def text(self) -> str:
        """Which files, and which command is still due."""
        return f"committed {self._about()}, but a command is still to be run: {self.reason}"


class CommitRejected(Committing, frozen=True, kw_only=True):
    """Files were refused before anything was live."""

    level: ClassVar[Level] = Level.ERROR
    step: str
    reason: str

    def text(self) -> str:
        """Which files, at which step, why, and what stands."""
        return f"rejected {self._about()} at {self.step}: {self.reason}; the old file stands, nothing was reloaded"


class CommitRolledBack(Committing, frozen=True, kw_only=True):
    """Files were live and did not hold."""

    level: ClassVar[Level] = Level.ERROR
    step: str
    reason: str

    def text(self) -> str:
        """Which files, at which step, why, and what stands."""
        return f"rolled back {self._about()} at {self.step}: {self.reason}; the old file stands again"


class CommitBroken(Committing, frozen=True, kw_only=True):
    """Files could not be put back, or the old ones not be reloaded: a person must look."""

    level: ClassVar[Level] = Level.ERROR
    reason: str

    def text(self) -> str:
        """Which files, why, what was kept and what happens next."""
        return (
            f"BROKEN {self._about()}: {self.reason}; the journal and the old files are kept, "
            "the group commits nothing until putting them back succeeds, which is tried again"
        )


class RenderingRefused(Event, frozen=True, kw_only=True):
    """What was refused, once per content: the checker's own words and the beginning of the difference."""

    level: ClassVar[Level] = Level.ERROR
    template: str
    kept: str
    """Where the refused rendering can be looked at; empty if it is not kept."""
    output: str
    diff: str

    def text(self) -> str:
        """The words, the difference, and where the whole is."""
        kept = f"\nthe whole rendering: {self.kept}" if self.kept else ""
        return f"{self.template} was refused{': ' if self.output else ''}{self.output}\n{self.diff}{kept}"


class WrittenInPlace(Event, frozen=True, kw_only=True):
    """A destination that something is mounted on cannot be renamed over."""

    level: ClassVar[Level] = Level.WARNING
    destination: str

    def text(self) -> str:
        """Which file, what it costs, and what to do."""
        return (
            f"{self.destination} is a mount point, so it is written in place: a reader may see half of it "
            "for a moment; mount its directory instead of the file"
        )


class LeftAlone(Event, frozen=True, kw_only=True):
    """A file that was to be put back holds what somebody else has written meanwhile."""

    level: ClassVar[Level] = Level.WARNING
    destination: str
    backup: str

    def text(self) -> str:
        """Which file, and where the one before is."""
        kept = f"; what stood there before the commit is kept as {self.backup}" if self.backup else ""
        return f"{self.destination} was written by somebody else after an interrupted commit: it is left alone{kept}"


class JournalFound(Event, frozen=True, kw_only=True):
    """An earlier commit was interrupted, or left something to be done."""

    level: ClassVar[Level] = Level.WARNING
    group: str
    decision: str

    def text(self) -> str:
        """Which group, and what is done."""
        return f"an earlier commit of group {self.group} was not finished: {self.decision}"


class JournalSetAside(Event, frozen=True, kw_only=True):
    """A journal cannot be acted on."""

    level: ClassVar[Level] = Level.ERROR
    journal: str
    reason: str

    def text(self) -> str:
        """Which journal, why, what that means and what to do."""
        return (
            f"{self.journal} is not acted on, because {self.reason}; an interrupted commit may be half done: "
            "look at the destinations and the `.NAME.ctemplate-*-old` files beside them, reload by hand, "
            "then remove the journal"
        )
