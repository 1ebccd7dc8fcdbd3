"""When an instance that a server lists no more is believed to be gone: arithmetic, with time as an argument.

A Eureka that was restarted answers 200 with an empty list, and one that cannot see its peers with a part of it;
within a heartbeat or two its clients have registered again. So a server's word that an instance is gone is taken
only when it stands for one lease, as long as Eureka itself waits for a heartbeat:

- what is listed is believed at once, whatever its status, since nobody lists what never was;
- what is missing stays until it was missing for `seconds` without a break, counted only over time in which
  answers came: of a longer silence no more than `gap_seconds` count;
- where nothing was known yet, an empty list is believed only after the same time.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ctemplate.catalog.eureka.records import Key, Listing, Registered

DOUBT_SHARE = 0.15
"""More than this share of what is held missing at once: ask another peer. Eureka's own threshold, by which it stops
to expire instances (`renewalPercentThreshold` 0.85)."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """What is held, and since when what of it is missing."""

    seconds: float
    gap_seconds: float
    held: Mapping[Key, Registered] = msgspec.field(default_factory=dict)
    missing: Mapping[Key, float] = msgspec.field(default_factory=dict)
    """For how many seconds each of those among `held` that are listed no more has been missing."""
    known: bool = False
    """Whether `held` is an answer: false until something was listed, or nothing for a lease."""
    empty_seconds: float = 0.0
    """For how long the list has been empty while nothing was known."""
    then: float | None = None
    """When it was listed last."""

    def after(self, listed: Listing, *, now: float) -> Lease:
        """Return what is held after a complete answer at `now`, in seconds of a monotonic clock."""
        passed = 0.0 if self.then is None else min(now - self.then, self.gap_seconds)
        if not listed and not self.known:
            empty = self.empty_seconds + passed
            return msgspec.structs.replace(self, then=now, empty_seconds=empty, known=empty >= self.seconds)
        missing = {key: self.missing[key] + passed if key in self.missing else 0.0 for key in self.held.keys() - listed}
        missing = {key: seconds for key, seconds in missing.items() if seconds < self.seconds}
        kept = {key: self.held[key] for key in missing}
        return msgspec.structs.replace(
            self, held={**listed, **kept}, missing=missing, known=True, empty_seconds=0.0, then=now
        )

    def doubts(self, listed: Listing) -> bool:
        """Whether other peers must be asked too: nothing is known yet, or a large part is gone."""
        gone = len(self.held.keys() - listed)
        return not self.known or gone > DOUBT_SHARE * len(self.held)


def merged(listed: Listing, other: Listing) -> Listing:
    """Return what either of two peers lists; what both list as it was changed last."""
    both = dict(listed)
    for key, registered in other.items():
        if key not in both or registered.updated > both[key].updated:
            both[key] = registered
    return both
