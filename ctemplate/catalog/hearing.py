"""When answers were last known to be current: each by its own watch, or by polls that it shares with others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ctemplate.catalog.base import SharedPolls
from ctemplate.catalog.wanted import Wanted
from ctemplate.model import DISK, Query


class Hearing:
    """What was heard by one moment. Local files are not heard of, they are looked at."""

    def __init__(self, watches: Mapping[Query, Wanted], sharing: Mapping[str, SharedPolls], *, all_share: bool) -> None:
        """`all_share`: no query fails, and each is asked of one of `sharing` or looked up on disk."""
        self._watches = watches
        self._shared = {name: catalog.heard() or 0.0 for name, catalog in sharing.items()}
        self._least = min(self._shared.values(), default=0.0) if all_share else 0.0
        """Nothing was heard earlier: of ten thousand queries none needs to be asked after one that was heard then."""
        self.all_heard = self._least if self._least and len(set(self._shared.values())) == 1 else None
        """When every answer was known to be current, or before: where polls that are shared tell one moment for all."""

    def oldest(self, queries: Iterable[Query]) -> float | None:
        """Return when the answer of `queries` heard least recently was known to be current: seconds since the epoch."""
        oldest: float | None = None
        for query in queries:
            watch = self._watches.get(query)
            if watch is None or watch.heard is None or query.catalog == DISK:
                continue
            heard = watch.heard
            if watch.failure is None:
                heard = max(heard, self._shared.get(query.catalog, 0.0))
            if oldest is None or heard < oldest:
                oldest = heard
                if oldest <= self._least:
                    break
        return oldest
