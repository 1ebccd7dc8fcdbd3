"""The seam between a commit and whatever serves: what a transaction asks of a reload command.

The transaction knows steps and files; a `Reloader` knows one kind of server: which check belongs to
its command, what must hold before anything is touched, and what proves that the server took the new
configuration. `reload.known` picks one for a command. Knows no server itself.
"""

from __future__ import annotations

import threading
from typing import Protocol

from ctemplate.changes import Command, Proof
from ctemplate.events import Emit


class Reloader(Protocol):
    """Runs one command and proves what it did. Used from one thread at a time."""

    @property
    def command(self) -> Command:
        """The command as its author wrote it."""
        ...

    @property
    def turn(self) -> str:
        """Reloaders with an equal, not empty turn never reload at the same time: they talk to one server."""
        ...

    def check(self) -> Command | None:
        """Return the check that belongs to the command (`nginx -t` with its options), or None if none is known."""
        ...

    def verify_setup(self) -> None:
        """See that a reload can work at all, before anything is touched; runs nothing that changes anything.

        Raises `CommitError(Step.STAGE)` if the server's binary is missing, or the server is in a state
        in which reloads do something else (nginx while it is upgraded in place).
        """
        ...

    def reload(self, *, check_seconds: float, cancel: threading.Event) -> Proof:
        """Run the command and wait for its proof.

        `check_seconds` is how long the check took: the time a server needs to load its configuration,
        so the deadline of the proof follows from it. Returns `Proof.NOT_RUNNING` where there is no
        server. Raises `CommitError` with `Step.RELOAD` if the command failed and `Step.VERIFY` if the
        server did not take the configuration; the reason holds what the server said. Setting `cancel`
        ends it within a moment, with either step.
        """
        ...


class MakeReloader(Protocol):
    """Makes a command's reloader; what that tells goes to `emit` alone, which may withhold what must not be read."""

    def __call__(self, command: Command, *, emit: Emit) -> Reloader:
        """Return a reloader."""
        ...
