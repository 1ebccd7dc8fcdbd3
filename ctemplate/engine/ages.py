"""`max_age`: tells when what a template reads grows too old, once, and once when that is over."""

from __future__ import annotations

from ctemplate.events import Emit, Event, Level
from ctemplate.observe.status import Status


class DataTooOld(Event, frozen=True, kw_only=True):
    """What a template reads was last known to be current longer ago than `max_age`."""

    level = Level.ERROR
    template: str
    seconds: float

    def text(self) -> str:
        """Which file, how old its data are, and what stays."""
        return (
            f"{self.template}: what it reads was last known to be current {self.seconds:.0f} s ago, longer than "
            "max_age; the file stays as it is"
        )


class DataCurrent(Event, frozen=True, kw_only=True):
    """It is current again."""

    template: str

    def text(self) -> str:
        """Which file."""
        return f"{self.template}: what it reads is current again"


class Ages:
    """Compares one status with the one before."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._old: frozenset[str] = frozenset()

    def note(self, status: Status) -> None:
        """Tell what has grown too old since the last status, and what no longer is."""
        old = {t.destination: t for t in status.templates if t.too_old}
        for name in sorted(old.keys() - self._old):
            since = old[name].data_since or status.started
            self._emit(DataTooOld(template=name, seconds=status.written - since))
        there = {t.destination for t in status.templates}
        for name in sorted((self._old & there) - old.keys()):
            self._emit(DataCurrent(template=name))
        self._old = frozenset(old)
