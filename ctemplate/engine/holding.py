"""What is told of holds: they begin, end, are released, or are only warned of."""

from __future__ import annotations

from ctemplate.events import Event, Level
from ctemplate.settings import FOREVER


class ServiceHeld(Event, frozen=True, kw_only=True):
    """A template keeps instances that its catalog has no longer. Said once, until it ends."""

    level = Level.WARNING
    service: str
    """The selection as a person reads it."""
    name: str
    """What `ctemplate release` takes."""
    template: str
    before: int
    after: int
    reason: str
    max_hold: float

    def text(self) -> str:
        """What is kept, why, until when, and how it is let through."""
        until = (
            "until somebody says"
            if self.max_hold == FOREVER
            else f"for {self.max_hold:g} s, then it goes through if the catalog's leader confirms it; at once with"
        )
        return (
            f"{self.service} is held in {self.template}: its {self.before} instances stay although the catalog has "
            f"{self.after}: {self.reason}; held {until} `ctemplate release {self.name}`"
        )


class HoldEnded(Event, frozen=True, kw_only=True):
    """Nothing is left to hold."""

    service: str
    template: str
    seconds: float
    reason: str

    def text(self) -> str:
        """What was held, for how long, and why it is no longer."""
        return f"{self.service} is held no longer in {self.template} after {self.seconds:.0f} s: {self.reason}"


class HoldReleased(HoldEnded, frozen=True, kw_only=True):
    """What was held goes through."""

    level = Level.WARNING
    lost: int

    def text(self) -> str:
        """What goes, after how long, and on whose word."""
        return (
            f"{self.service} is released in {self.template} after {self.seconds:.0f} s, "
            f"{self.lost} instances go: {self.reason}"
        )


class ShrinkPassed(Event, frozen=True, kw_only=True):
    """More is lost than the guard allows, but it only warns."""

    level = Level.WARNING
    service: str
    template: str
    reason: str

    def text(self) -> str:
        """What goes, and why nothing held it."""
        return f'{self.service} loses much in {self.template}: {self.reason}; let through (on_violation = "warn")'
