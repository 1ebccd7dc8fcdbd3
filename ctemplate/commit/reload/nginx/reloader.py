"""Reloads nginx and proves that it did: neither `nginx -t` nor the exit code of a reload says so.

A reload returns before anything happened, and a configuration that passes the test may still not come
up (a port that another process holds, a zone's key that changed, workers that die at once). What
counts is the process table (`generation`); what the error log says meanwhile (`error_log`) becomes the
reason and ends a lost case early.
"""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

from ctemplate.changes import Command, Proof, Step
from ctemplate.commit.command import environment
from ctemplate.commit.reload.nginx import configuration
from ctemplate.commit.reload.nginx.configuration import STDERR, Configuration
from ctemplate.commit.reload.nginx.error_log import ErrorLog
from ctemplate.commit.reload.nginx.generation import Generation
from ctemplate.commit.reload.nginx.options import NginxReload
from ctemplate.commit.reload.nginx.processes import (
    Identity,
    Master,
    MasterGone,
    Presence,
    Sight,
    find,
    masters,
    upgrading,
)
from ctemplate.commit.reload.plain import NEVER_RAN, ReloadFailed, require_program, run_reload
from ctemplate.errors import CommitError
from ctemplate.events import Emit, Warned

_WINDOW_SECONDS = 1.0
"""How long the new workers must stay the same."""
_WINDOW_CHECKS = 1.5
"""And how many times the check's duration: so long may a reload of somebody else, which was under way
when ours was asked for, stand before nginx gets to ours."""
_DEADLINE_SECONDS = 5.0
_DEADLINE_CHECKS = 3.0
"""nginx loads its configuration in about the time of a check (10,000 upstreams: 1.0 s each); five
tries at a port that is in use take 2.5 s."""
_FIRST_PAUSE, _LAST_PAUSE = 0.01, 0.1
_SHARE = 4.0
"""A look costs up to 15 ms where there are 1,000 processes: pause at least so many times as long."""


class NginxReloader:
    """Reloads one instance of nginx."""

    def __init__(self, command: Command, form: NginxReload, *, emit: Emit) -> None:
        self.command = command
        self._form = form
        self._emit = emit
        self._warned: set[str] = set()
        self._known: Configuration | None = None
        """As read before the files were touched: the running master may still keep to it."""

    @property
    def turn(self) -> str:
        """One for each pid file: groups that reload one master take turns."""
        setup = self._known = self._known or self._setup()
        pid_file = self._pid_file(setup)
        return f"nginx {pid_file.resolve()}" if pid_file else "nginx"

    def check(self) -> Command:
        """Return `nginx -t` for the same instance."""
        return self._form.test(timeout=self.command.timeout)

    def verify_setup(self) -> None:
        """See that nginx is there and reloads as we know it: with a master, and not while it is upgraded."""
        require_program(self.command)
        setup = self._known = self._setup()
        if setup is None:
            if self._form.direct and not self._form.pid_file:
                raise CommitError(Step.STAGE, f"`{self._form.binary} -V` does not answer; nothing was touched")
        elif not setup.master:
            raise CommitError(
                Step.STAGE, f"{setup.conf} says `master_process off`: such an nginx cannot be reloaded; take that out"
            )
        pid_file = self._pid_file(setup)
        if pid_file is not None and upgrading(pid_file):
            raise CommitError(
                Step.STAGE,
                f"nginx is being upgraded in place ({pid_file}.oldbin exists): finish or take back the upgrade first",
            )

    def reload(self, *, check_seconds: float, cancel: threading.Event) -> Proof:
        """Run the command, and watch the processes until a new generation is proven or cannot be."""
        before, setup = self._known, self._setup()
        self._known = setup or before
        sight, pid_file = self._sight(before, setup)
        if sight.presence is Presence.STRANGER and self._form.direct:
            self._warn(
                f"{pid_file} is stale: process {sight.pid} is not nginx ({sight.what}); "
                f"`{self.command}` was not run, because it would signal that"
            )
            return Proof.NOT_RUNNING
        log = ErrorLog(path for each in (before, setup) if each for path in each.error_logs if path != STDERR)
        master: Master | None = None
        workers: frozenset[Identity] = frozenset()
        if sight.presence is Presence.RUNNING:
            try:
                master = Master(sight.pid)
                workers = frozenset(master.workers())
            except MasterGone:
                sight, master = Sight(Presence.ABSENT), None
        if master is not None and (path := master.standard_error()):
            log.follow([path])
        try:
            command_seconds = run_reload(self.command, cancel=cancel, emit=self._emit)
        except ReloadFailed as failure:
            if sight.presence in (Presence.ABSENT, Presence.STRANGER) and failure.code not in NEVER_RAN:
                self._warn_of_others(pid_file)
                return Proof.NOT_RUNNING
            raise
        if master is None:
            seen = sight.what or (f"{pid_file} names no running nginx" if pid_file else "its pid file is not known")
            self._warn(f"`{self.command}` ended well, but its effect cannot be proved: {seen}")
            return Proof.NONE
        expected = setup.workers if setup and setup.workers else 1
        window = max(_WINDOW_SECONDS, _WINDOW_CHECKS * check_seconds)
        generation = Generation(before=workers, expected=expected, window=window)
        # `nginx -s reload` loads the configuration too: its duration stands in where no check was run.
        seconds = _DEADLINE_CHECKS * max(check_seconds, command_seconds) + _DEADLINE_SECONDS + window
        self._prove(master, generation, log, seconds=seconds, cancel=cancel)
        return Proof.NEW_WORKERS

    def _prove(
        self, master: Master, generation: Generation, log: ErrorLog, *, seconds: float, cancel: threading.Event
    ) -> None:
        """Look until it is proven; raises `CommitError(Step.VERIFY)` as soon as it cannot be any more."""
        started = time.monotonic()
        pause = _FIRST_PAUSE
        while True:
            now = time.monotonic()
            try:
                proven = generation.see(now, master.workers())
            except MasterGone:
                raise self._failed(log, f"the master process {master.pid} ended") from None
            if proven:
                return
            log.read()
            if log.gave_up(master.pid):
                raise self._failed(log, generation.describe())
            if generation.deserted(now):
                raise self._failed(log, "its new workers ended at once, and none is left")
            if now - started >= seconds:
                raise self._failed(log, f"{generation.describe()} after {now - started:.1f} s")
            if cancel.wait(max(pause, _SHARE * (time.monotonic() - now))):
                raise CommitError(Step.VERIFY, "interrupted before the reload was proved")
            pause = min(pause * 1.2, _LAST_PAUSE)

    def _failed(self, log: ErrorLog, seen: str) -> CommitError:
        log.read()
        words = log.words()
        return CommitError(
            Step.VERIFY, f"nginx did not take the new configuration: {words} ({seen})" if words else _unsaid(seen)
        )

    def _setup(self) -> Configuration | None:
        """Read the instance's configuration as it is now, or None if the binary cannot tell its defaults."""
        binary = shutil.which(self._form.binary, path=environment()["PATH"])
        defaults = configuration.built(binary) if binary else None
        setup = configuration.read(self._form.options, defaults) if defaults else None
        if setup and self._form.pid_file and setup.pid_file.resolve() != Path(self._form.pid_file).resolve():
            self._warn(
                f"`{self.command}` signals another nginx than the one that `{self.check()}` checks (its pid file is "
                f"{setup.pid_file}): set `check` (-check) to the command that checks yours"
            )
            return None
        return setup

    def _sight(self, *setups: Configuration | None) -> tuple[Sight, Path | None]:
        """Find the master, by the pid file as it was before the change or as it is to be."""
        sight, pid_file = Sight(Presence.ABSENT), None
        for setup in setups:
            candidate = self._pid_file(setup)
            if candidate is None or candidate == pid_file:
                continue
            sight, pid_file = find(candidate), candidate
            if sight.presence is Presence.RUNNING:
                break
        return sight, pid_file

    def _pid_file(self, setup: Configuration | None) -> Path | None:
        if self._form.pid_file:
            return Path(self._form.pid_file)
        return setup.pid_file if setup else None

    def _warn_of_others(self, pid_file: Path | None) -> None:
        """A pid file that was lost looks like an nginx that does not run."""
        if found := ", ".join(str(pid) for pid in sorted(masters())):
            self._warn(
                f"{pid_file} names no running nginx, but there are nginx masters ({found}): if one of them "
                "is meant, its pid file was lost, and it has to be restarted to take the new files"
            )

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self._emit(Warned(message=message))


def _unsaid(seen: str) -> str:
    return f"nginx did not take the new configuration, and its error log does not say why: {seen}"
