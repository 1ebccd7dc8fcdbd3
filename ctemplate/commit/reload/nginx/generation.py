"""The rule that proves a reload, as a value that is fed with looks at the process table.

That workers were forked is no proof: they may exit at once while the old ones leave. Proven is a
generation of workers that
  - were not there before the reload, and are as many as the new configuration asks for;
  - serve alone: every old worker has left or says that it is shutting down (one that still drains a
    slow client is no failure);
  - from that moment on stay the very same for the whole window.
A worker that is replaced, and a newer generation (somebody else reloaded), start the window again.
Looks at no process and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping

from ctemplate.commit.reload.nginx.processes import Identity

DESERTED_SECONDS = 0.3
"""So long without any worker, where there were some, is a failure: in a good reload the old ones serve on
until 100 ms after the new ones were started, and a new process needs a few ms to take its title. Where
there were none, new ones may take as long as the configuration takes to load."""


class Generation:
    """Watches for one new, complete and stable generation."""

    def __init__(self, *, before: frozenset[Identity], expected: int, window: float) -> None:
        self._before = before
        self._expected = expected
        self._window = window
        self._candidates: frozenset[Identity] = frozenset()
        self._since: float | None = None
        self._deserted_since: float | None = None
        self._was_served = bool(before)
        self.serving: frozenset[Identity] = frozenset()

    def see(self, now: float, workers: Mapping[Identity, bool]) -> bool:
        """Take one look into account (True: shutting down); tell whether the generation is proven."""
        self.serving = frozenset(worker for worker, stopping in workers.items() if not stopping)
        if self.serving:
            self._deserted_since, self._was_served = None, True
        elif self._was_served and self._deserted_since is None:
            self._deserted_since = now
        if self.serving & self._before or len(self.serving) < self._expected:
            self._since = None
            return False
        if self._since is None or self.serving != self._candidates:
            self._candidates, self._since = self.serving, now
        return now - self._since >= self._window

    def deserted(self, now: float) -> bool:
        """Tell whether nobody serves any more, for longer than a reload can explain."""
        return self._deserted_since is not None and now - self._deserted_since >= DESERTED_SECONDS

    def describe(self) -> str:
        """Say what was last seen, for the reason of a failure."""
        old, new = len(self.serving & self._before), len(self.serving - self._before)
        return f"{new} of {self._expected} new workers, {old} old ones still serving"
