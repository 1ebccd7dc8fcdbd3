"""Reloads HAProxy in master-worker mode; proves it where the master's socket is configured.

The master's process id and creation time never change, and `haproxy -c` passes what cannot be bound,
so the master itself is asked until its answers confirm the reload (`confirmation`).
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from ctemplate.changes import Command, Proof, Step
from ctemplate.commit.reload.alive import has_ended
from ctemplate.commit.reload.haproxy.confirmation import Confirmation
from ctemplate.commit.reload.haproxy.master import Processes, show_processes
from ctemplate.commit.reload.haproxy.options import HaproxyReload
from ctemplate.commit.reload.plain import NEVER_RAN, ReloadFailed, require_program, run_reload
from ctemplate.errors import CommitError
from ctemplate.events import Emit, Warned

_WINDOW_SECONDS = 1.0
"""A worker that cannot go into its chroot ends only after it was forked, and takes all others along."""
_WINDOW_CHECKS = 1.5
"""From 3.1 on a worker is listed while it still loads, which takes about as long as a check."""
_DEADLINE_SECONDS = 10.0
"""A reload that fails takes 2 s at least: for so long HAProxy tries to bind its addresses."""
_DEADLINE_CHECKS = 3.0
_PAUSE = 0.05


class HaproxyReloader:
    """Reloads the one HAProxy of this machine's service."""

    def __init__(self, command: Command, form: HaproxyReload, *, socket: str, emit: Emit) -> None:
        self.command = command
        self.turn = f"haproxy {socket}".strip()
        self._form = form
        self._socket = Path(socket.removeprefix("unix@").removeprefix("unix:")) if socket else None
        self._emit = emit
        self._warned = False

    def check(self) -> Command:
        """Return `haproxy -c` for the service's configuration."""
        return self._form.test(timeout=self.command.timeout)

    def verify_setup(self) -> None:
        """See that what the command begins with is there."""
        require_program(self.command)

    def reload(self, *, check_seconds: float, cancel: threading.Event) -> Proof:
        """Run the command and wait for the master to confirm it, if it can be asked."""
        before, absent, why = self._ask()
        try:
            run_reload(self.command, cancel=cancel, emit=self._emit)
        except ReloadFailed as failure:
            if absent and failure.code not in NEVER_RAN:
                return Proof.NOT_RUNNING
            raise
        if before is None or self._socket is None:
            self._warn(f"`{self.command}` ended well, but its effect cannot be proved: {why}")
            return Proof.NONE
        window = max(_WINDOW_SECONDS, _WINDOW_CHECKS * check_seconds)
        seconds = _DEADLINE_CHECKS * check_seconds + _DEADLINE_SECONDS + window
        self._confirm(self._socket, before, window=window, seconds=seconds, cancel=cancel)
        return Proof.CONFIRMED

    def _ask(self) -> tuple[Processes | None, bool, str]:
        """Return what the master says; else whether nobody is there at all, and why it does not say."""
        if self._socket is None:
            return None, False, "set `haproxy_socket` to the master's socket (`haproxy -W -S PATH`)"
        try:
            return show_processes(self._socket), False, ""
        except (FileNotFoundError, ConnectionRefusedError) as error:
            return None, True, f"{self._socket}: {error.strerror}"
        except OSError as error:
            return None, False, f"{self._socket}: {error.strerror or error}"

    def _confirm(
        self, path: Path, before: Processes, *, window: float, seconds: float, cancel: threading.Event
    ) -> None:
        """Ask until the reload is confirmed; raises `CommitError(Step.VERIFY)` as soon as it cannot be any more."""
        started = time.monotonic()
        rule = Confirmation(before=before, started=started, window=window)
        while True:
            now = time.monotonic()
            try:
                if rule.see(now, show_processes(path)):
                    return
            except OSError:
                rule.unheard(ended=before.master != 0 and has_ended(before.master))
            if rule.fault:
                raise CommitError(Step.VERIFY, rule.fault)
            if now - started >= seconds:
                seen = rule.describe()
                raise CommitError(Step.VERIFY, f"HAProxy did not confirm the reload in {now - started:.1f} s: {seen}")
            if cancel.wait(_PAUSE):
                raise CommitError(Step.VERIFY, "interrupted before the reload was confirmed")

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            self._emit(Warned(message=message))
