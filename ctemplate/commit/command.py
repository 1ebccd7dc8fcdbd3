"""Runs one command of the user's with a deadline, so that no command can hang, flood or outlive a commit.

A command runs in a session of its own, because only a whole process group can be ended for certain:
a shell that is killed leaves its children behind. What it says is kept as its last lines. Knows
nothing of what commands mean; `commit.reload` does.

The end of the main process is the end of the command. What it leaves running in the background is
left alone, and if it holds the output open nobody waits for it; only a command that is killed, at
its deadline or on demand, takes its whole group along: SIGTERM, a moment, SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from typing import IO

import msgspec

from ctemplate.changes import Command

OUTPUT_BYTES = 16 * 1024
OUTPUT_LINES = 40
"""What is kept of the output: enough for any checker's complaint, little enough for a log line."""

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where nginx, haproxy and their like are; cron's PATH has none of them."""
_TICK = 0.05
"""How often the end of a command that has closed its output, and `cancel`, are looked at."""
_LINGER = 0.1
"""How long output is read after the main process has ended: what was written before is in the pipe by then."""
_GRACE = 1.0
"""Between SIGTERM and SIGKILL, and again for the kernel to carry SIGKILL out."""
_READ = 256 * 1024
_DATA = resource.getrlimit(resource.RLIMIT_DATA)
"""As this process was started: while a template is rendered the limit is lower (`engine.memory`)."""
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
"""The codes that a shell gives for the same mishaps."""
_CONTROL = {code: "?" for code in (*range(32), 127, *range(128, 160)) if code not in (9, 10)}
"""Output goes to logs and terminals: escape sequences must not act there."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended."""

    code: int | None
    """The exit code, negative for a signal; None if it was killed at its deadline or on demand."""
    output: str
    """The last lines of standard output and standard error together."""
    seconds: float
    reason: str
    """Empty for exit code 0, else what happened in words: `exit 1`, `killed after 30 s`, `not found: nginx`."""


def run(
    command: Command,
    *,
    cancel: threading.Event | None = None,
    prefix: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
) -> Result:
    """Run `command` to its end, its deadline or `cancel`, whichever is first; never raises for what it does.

    `prefix` is put before the shell or the arguments (a namespace to run in); `env` replaces the
    environment of this process.
    """
    started = time.monotonic()
    words = ("/bin/sh", "-c", command.line) if isinstance(command.line, str) else command.line
    argv = (*prefix, *words)
    try:
        process = subprocess.Popen(  # noqa: S603 - running what the operator configured is the purpose
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment(env),
        )
    except FileNotFoundError:
        return Result(code=_NOT_FOUND, output="", seconds=0.0, reason=f"not found: {argv[0]}")
    except (OSError, ValueError) as error:
        return Result(code=_NOT_EXECUTABLE, output="", seconds=0.0, reason=f"cannot run {argv[0]}: {error}")
    with contextlib.suppress(OSError):  # it may be gone, or another user's by now
        resource.prlimit(process.pid, resource.RLIMIT_DATA, _DATA)
    assert process.stdout is not None  # noqa: S101 - for the type checker: a pipe was asked for
    with process.stdout as pipe, _Output(pipe) as output:
        killed = _wait(process.pid, output, command.timeout, cancel)
        if killed:
            _kill(process.pid, output)
        else:
            output.read(time.monotonic() + _LINGER)
        try:
            code = process.wait(_GRACE)
        except subprocess.TimeoutExpired:  # not even SIGKILL ends a process that hangs in the kernel
            killed += ", and it does not end"
        seconds = time.monotonic() - started
        if killed:
            return Result(code=None, output=output.text(), seconds=seconds, reason=killed)
        return Result(code=code, output=output.text(), seconds=seconds, reason=_meaning(code))


def environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what a command sees as its environment: the given or this process's one, with sbin on its PATH."""
    seen = dict(os.environ if env is None else env)
    path = seen.get("PATH", os.defpath).split(os.pathsep)
    seen["PATH"] = os.pathsep.join([*path, *(directory for directory in _SBIN if directory not in path)])
    return seen


class _Output:
    """The reading end of a command's output: never blocks beyond what it is told, keeps only the end."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._descriptor = pipe.fileno()
        self._tail = bytearray()
        self._cut = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._descriptor, selectors.EVENT_READ)
        os.set_blocking(self._descriptor, False)
        self.open = True

    def __enter__(self) -> _Output:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()

    def read(self, until: float) -> None:
        """Read what comes until it ends or the time has come."""
        while self.open and (left := until - time.monotonic()) > 0:
            if not self._selector.select(left):
                return
            try:
                block = os.read(self._descriptor, _READ)
            except BlockingIOError:
                continue
            self.open = bool(block)
            self._tail += block
            if len(self._tail) > OUTPUT_BYTES:
                del self._tail[:-OUTPUT_BYTES]
                self._cut = True

    def text(self) -> str:
        """Return the last whole lines, without control characters."""
        lines = self._tail.decode(errors="replace").splitlines()
        if self._cut and len(lines) > 1:
            del lines[0]
        return "\n".join(lines[-OUTPUT_LINES:]).translate(_CONTROL).strip()


def _wait(pid: int, output: _Output, timeout: float, cancel: threading.Event | None) -> str:
    """Read until the process has ended (returns an empty text) or must be killed (returns why)."""
    started = time.monotonic()
    deadline = started + timeout
    while not _ended(pid):
        now = time.monotonic()
        if cancel is not None and cancel.is_set():
            return f"killed on demand after {now - started:.1f} s"
        if now >= deadline:
            return f"killed after {timeout:g} s"
        until = min(now + _TICK, deadline)
        if output.open:
            output.read(until)
        else:
            # The end of output is nearly always the end of the process: a first look soon, then ticks.
            time.sleep(min(until - now, 0.001 if now - started < _TICK else _TICK))
    return ""


def _ended(pid: int) -> bool:
    """Tell whether the process has ended, without reaping it: its group's id must stay ours until it is killed."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill(group: int, output: _Output) -> None:
    """End a process group: ask, give it a moment to clean up (output closed and leader gone), then force."""
    _signal(group, signal.SIGTERM)
    until = time.monotonic() + _GRACE
    while time.monotonic() < until and not (_ended(group) and not output.open):
        if output.open:
            output.read(min(until, time.monotonic() + _TICK))
        else:
            time.sleep(_TICK / 5)
    _signal(group, signal.SIGKILL)
    output.read(time.monotonic() + _LINGER)


def _signal(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return  # gone already, or sudo made it another user's: nothing more is in our power


def _meaning(code: int) -> str:
    if code == 0:
        return ""
    if code > 0:
        return f"exit {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"
