"""The rule that confirms a reload of HAProxy, as a value that is fed with its master's answers.

Confirmed is a worker of the newest configuration that was not there before and stays for the window.
It failed as soon as the master counts a failed reload more than before, or has ended. A socket that nobody
holds says neither: the master executes itself to load, and again when that failed. Looks at no socket and no clock.
"""

from __future__ import annotations

from ctemplate.commit.reload.haproxy.master import Processes


class Confirmation:
    """Watches for one reload to be confirmed."""

    def __init__(self, *, before: Processes, started: float, window: float) -> None:
        self._before = before
        self._failed = before.failed
        self._window = window
        self._candidates: frozenset[int] = frozenset()
        self._since = started
        self.fault = ""
        """Why it can no longer be confirmed."""

    def see(self, now: float, status: Processes) -> bool:
        """Take an answer into account; tell whether the reload is confirmed."""
        if status.failed > self._failed:
            self.fault = "HAProxy says that the reload failed; its own log says why, and the old workers went on"
            return False
        self._failed = status.failed  # a good reload sets it back to 0
        fresh = status.newest - self._before.workers.keys()
        if fresh != self._candidates:
            self._candidates, self._since = fresh, now
        return bool(fresh) and now - self._since >= self._window

    def unheard(self, *, ended: bool) -> None:
        """The master does not answer: it loads, or is no longer there."""
        self._candidates = frozenset()
        if ended:
            self.fault = "HAProxy is gone: its master ended; its own log says why"

    def describe(self) -> str:
        """Say what was last seen, for the reason of a failure."""
        return f"{len(self._candidates)} new workers of the newest configuration"
