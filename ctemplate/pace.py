"""Time as arithmetic: when to act next, given what happened when.

Nothing here reads a clock, sleeps or draws a random number: callers pass `now` (seconds of any
monotonic clock) and `random` (in [0, 1)), and wait by themselves for what they are told.
"""

from __future__ import annotations


class Backoff:
    """Delays that grow after each failure in a row, up to a cap, each spread by jitter.

    `jitter` is a share: 0.25 spreads a delay over 75 % to 125 % of it.
    """

    def __init__(self, first: float, cap: float, *, factor: float = 2.0, jitter: float = 0.25) -> None:
        self._first = first
        self._cap = cap
        self._factor = factor
        self._jitter = jitter
        self._delay = first

    def next(self, *, random: float) -> float:
        """Return the seconds to wait after one more failure."""
        delay = self._delay
        self._delay = min(self._delay * self._factor, self._cap)
        return min(delay * (1 + self._jitter * (2 * random - 1)), self._cap)

    def reset(self) -> None:
        """Start again from the first delay: something succeeded."""
        self._delay = self._first


class TokenBucket:
    """At most `burst` acts at once and `per_second` in the long run; a lone act never waits."""

    def __init__(self, *, burst: int, per_second: float) -> None:
        self._burst = float(burst)
        self._per_second = per_second
        self._tokens = float(burst)
        self._then: float | None = None

    def delay(self, *, now: float) -> float:
        """Take one token and return the seconds to wait before acting; 0.0 means at once."""
        if self._then is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._then) * self._per_second)
        self._then = now
        self._tokens -= 1
        return max(0.0, -self._tokens / self._per_second)


class Settle:
    """Quiescence: due `minimum` after the last change, at the latest `maximum` after the first.

    Both are seconds; the rule and the terms are consul-template's (`-wait`).
    """

    def __init__(self, minimum: float, maximum: float) -> None:
        self._minimum = minimum
        self._maximum = maximum
        self._latest: float | None = None
        self._due: float | None = None

    def touch(self, *, now: float) -> None:
        """Note a change."""
        if self._latest is None:
            self._latest = now + self._maximum
        self._due = min(now + self._minimum, self._latest)

    def due(self) -> float | None:
        """When to fire; None while there is nothing to fire for."""
        return self._due

    def take(self) -> None:
        """Take what is due in hand: only later changes count from now on."""
        self._latest = self._due = None

    def fired(self, *, now: float) -> None:
        """Note that what was taken in hand is done; quiescence asks for no rest after it."""


class Cooldown:
    """A change after calm is due at once; others when `seconds` have passed since it last fired.

    A deferred change is never dropped, only joined by later ones.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._free = float("-inf")
        self._due: float | None = None

    def touch(self, *, now: float) -> None:
        """Note a change."""
        if self._due is None:
            self._due = max(now, self._free)

    def due(self) -> float | None:
        """When to fire; None while there is nothing to fire for."""
        return self._due

    def take(self) -> None:
        """Take what is due in hand: only later changes count from now on."""
        self._due = None

    def fired(self, *, now: float) -> None:
        """Note that what was taken in hand is done: what came meanwhile waits for the rest."""
        self._free = now + self._seconds
        if self._due is not None:
            self._due = max(self._due, self._free)
