"""What a group is about to change, and what came of it: immutable values, as `model.py` has them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec


class OnFailure(enum.StrEnum):
    """What a failing command of a template means for the files already in place."""

    ROLLBACK = "rollback"
    KEEP = "keep"


class Command(msgspec.Struct, frozen=True):
    """A command as its author wrote it: text for a shell, or a list of arguments for none."""

    line: str | tuple[str, ...]
    timeout: float = 30.0
    """Seconds; then its whole process group is killed."""
    on_failure: OnFailure = OnFailure.ROLLBACK

    def __str__(self) -> str:
        return self.line if isinstance(self.line, str) else " ".join(self.line)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One file that must differ from what is on disk."""

    template: str
    destination: Path
    """Absolute, with symbolic links followed: the file that is replaced."""
    content: bytes
    old: bytes | None
    """What stands there now; None where there is no file."""
    mode: int | None = None
    """Permission bits; None keeps the old file's, or 0644 (0600 if sensitive) for a new file."""
    user: str | int | None = None
    group: str | int | None = None
    backup: bool = False
    create_dirs: bool = False
    sensitive: bool = False
    command: Command | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What one group is about to commit. No change: nothing is written and nothing is run."""

    group: str
    changes: tuple[Change, ...]
    checks: tuple[Command, ...] = ()
    """The group's distinct checks: as set, else inferred from its commands."""
    atomic: bool = False
    refused: Mapping[str, Rejected] = {}
    """Templates whose destinations could not even be compared."""

    @property
    def commands(self) -> tuple[Command, ...]:
        """The distinct commands of what changes, in the order of their templates."""
        return tuple(dict.fromkeys(c.command for c in self.changes if c.command is not None))


class Step(enum.StrEnum):
    """The steps of a commit, in order."""

    STAGE = "stage"
    CHECK = "check"
    SWAP = "swap"
    TEST = "test"
    RELOAD = "reload"
    VERIFY = "verify"
    RESTORE = "restore"


class Proof(enum.StrEnum):
    """How we know that what was committed is what is running."""

    NEW_WORKERS = "new workers"  # nginx: a complete new generation under the same master
    CONFIRMED = "confirmed"  # the server itself said that it loaded the new configuration
    NOT_RUNNING = "not_running"  # there is no server to reload; it will read the file when it starts
    NO_COMMAND = "no command"  # there is nothing to reload
    NONE = "none"  # the command ended with 0, and nothing more can be known


class Unchanged(msgspec.Struct, frozen=True):
    """The file already held these bytes."""


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """The file is new, and so is what is running, as far as `proof` tells."""

    proof: Proof
    pending: str = ""
    """Why a command whose failure keeps the files (`on_failure = "keep"`) is still to be run again."""


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was live at any moment: the old file stands, nothing was reloaded."""

    step: Step
    reason: str


class RolledBack(msgspec.Struct, frozen=True, kw_only=True):
    """The new file was live and did not hold: the old file stands again and was reloaded."""

    step: Step
    reason: str


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """The old file could not be put back or reloaded: a person must look. Journal and backups are kept."""

    reason: str


Outcome: TypeAlias = Unchanged | Committed | Rejected | RolledBack | Broken
