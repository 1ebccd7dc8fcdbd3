"""A command that we do not know: it is run, and its exit code is all that can be known.

Says so once, at its first reload; proves nothing.
"""

from __future__ import annotations

import shutil
import threading

from ctemplate.changes import Command, Proof, Step
from ctemplate.commit.command import environment, run
from ctemplate.commit.events import CommandFailed, CommandRan
from ctemplate.commit.reload.forms import plain_words
from ctemplate.errors import CommitError
from ctemplate.events import Emit

NEVER_RAN = (None, 126, 127)
"""Codes of a command that was killed or could not be run: they say nothing of the server."""


class PlainReloader:
    """Runs any command; success is exit code 0."""

    turn = ""

    def __init__(self, command: Command, *, emit: Emit) -> None:
        self.command = command
        self._emit = emit

    def check(self) -> Command | None:
        """Nothing can be inferred."""
        return None

    def verify_setup(self) -> None:
        """See that the program is there, where no shell hides which one it is."""
        if isinstance(self.command.line, tuple):
            require_program(self.command)

    def reload(self, *, check_seconds: float, cancel: threading.Event) -> Proof:
        """Run the command to its own deadline."""
        del check_seconds  # says how long a server needs, and no server is known here
        run_reload(self.command, cancel=cancel, emit=self._emit)
        return Proof.NONE


def run_reload(command: Command, *, cancel: threading.Event, emit: Emit) -> float:
    """Run a reload command, tell of it, return its seconds; raises `CommitError(Step.RELOAD)` with its last words."""
    result = run(command, cancel=cancel)
    told = CommandRan if result.code == 0 else CommandFailed
    emit(
        told(command=str(command), code=result.code, seconds=result.seconds, output=result.output, reason=result.reason)
    )
    if result.code != 0:
        raise ReloadFailed(command, code=result.code, reason=result.reason, output=result.output)
    return result.seconds


class ReloadFailed(CommitError):
    """The command itself failed; `code` tells how, None if it was killed."""

    def __init__(self, command: Command, *, code: int | None, reason: str, output: str) -> None:
        self.code = code
        said = f": {output}" if output else ""
        super().__init__(Step.RELOAD, f"`{command}`: {reason}{said}")


def require_program(command: Command) -> None:
    """Raise `CommitError(Step.STAGE)` if the program that a command of plain words begins with is not there."""
    words = plain_words(command)
    if words and shutil.which(words[0], path=environment()["PATH"]) is None:
        raise CommitError(Step.STAGE, f"`{command}`: {words[0]} was not found; nothing was touched")
