"""Whether this balancer is worth the address, for `health_file`. Pure: every call is told the time.

    ill      a template has been broken or rolled back for longer than `PATIENCE_SECONDS`, or its data are too old
    well     every group had its outcome, and neither is so
    between  as it was: at start what the file says, after a change what was judged last

Only what is wrong with this machine counts. A template that nobody can render, a configuration that the check refuses
and a catalog that is away look the same from the other balancer; moving the address there would mend nothing. Data that
are older than `max_age` may look so too: whoever sets that asks for it, and two that are ill keep their order.
`now` is in seconds of one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping

from ctemplate.changes import Broken, Outcome, RolledBack

PATIENCE_SECONDS = 60.0
"""The retry after half a minute may mend it, and an address that moves costs every open connection."""


class Health:
    """The judgement, and since when each template that is not as it should be has been so."""

    def __init__(self, *, ill: bool) -> None:
        """`ill`: what an earlier process left in the file; it counts until there is something to judge by."""
        self.ill = ill
        self._since: dict[str, float] = {}

    def judge(self, outcomes: Mapping[str, Outcome], *, complete: bool, too_old: bool, now: float) -> bool:
        """Return whether this balancer is ill, by the last outcome of each template that had one.

        `complete`: every group had one. `too_old`: a template's data are older than `max_age`.
        """
        self._since = {
            name: self._since.get(name, now)
            for name, outcome in outcomes.items()
            if isinstance(outcome, Broken | RolledBack)
        }
        due = self.due()
        if too_old:
            self.ill = True
        elif due is not None:
            self.ill = self.ill or now >= due
        elif complete:
            self.ill = False
        return self.ill

    def due(self) -> float | None:
        """When what is wrong now will have lasted too long; None: nothing is wrong."""
        return min(self._since.values()) + PATIENCE_SECONDS if self._since else None

    @property
    def wrong(self) -> tuple[str, ...]:
        """The templates that are broken or rolled back."""
        return tuple(self._since)
