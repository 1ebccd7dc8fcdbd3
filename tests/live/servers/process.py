"""A process that listens, which a test may stop in every way there is."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from standstill import pause

Eventually = Callable[..., Any]
FreePort = Callable[[], int]
START_SECONDS = 30.0


class Server:
    """Keeps its address over `kill()` and `launch()`."""

    def __init__(self, command: list[str], directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.log = directory / "server.log"
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def launch(self) -> None:
        """Start the process; it may not listen yet."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT, cwd=self.directory)

    def check(self) -> None:
        """Fail where the process has ended."""
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"the server ended with {self._process.returncode}:\n{self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        """SIGKILL, as a power failure would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it with SIGTERM, also one that is paused."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Stop it where it stands: connections stay open and nothing answers."""
        pause(self.pid)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(how)
            self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None
