"""When a group's files are committed, tried again, or left alone. Pure: every call is told the time.

    nothing committed yet    wait until every template has rendered or failed, at most 10 s after the first
    a change                 commit when the cooldown, or quiescence (`wait`), says so
    rejected                 hold that content; try again after 5 s … 5 min, or when the content changes
    rolled back              hold that template; try again after 30 s … 10 min, or when its text is edited
    a command pending        run it again after 30 s … 10 min
    broken                   freeze the group; try the restore again after 30 s … 10 min

`now` is in seconds of one monotonic clock, `random` in [0, 1).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from ctemplate.changes import Broken, Committed, Outcome, Rejected, RolledBack, Unchanged
from ctemplate.engine.grouping import Group
from ctemplate.model import Missing, Rendering, Resolution
from ctemplate.pace import Backoff, Cooldown, Settle
from ctemplate.settings import Template

FIRST_COMMIT_SECONDS = 10.0
"""How long the first commit of a group waits for its last template once the first is ready."""


class Holds(enum.Enum):
    """What a retry keeps from being committed until it is due."""

    NOTHING = enum.auto()  # a command is pending; files go on
    CONTENT = enum.auto()  # rejected: this content; other content may be better
    TEMPLATE = enum.auto()  # rolled back: each try reloads the server twice
    GROUP = enum.auto()  # broken: nothing more before the restore is done


class Retry(msgspec.Struct):
    """Something that did not come to its end, and when it is tried again."""

    holds: Holds
    content: bytes
    due: float
    backoff: Backoff


class Schedule:
    """What one group wants on disk, and when it is time to try for it."""

    def __init__(self, group: Group, *, once: bool) -> None:
        self._group = group
        self._once = once
        self._pace = Settle(group.wait.minimum, group.wait.maximum) if group.wait else Cooldown(group.cooldown)
        self._resolutions: dict[str, Resolution] = {}
        self._wanted: dict[str, Rendering] = {}
        self._retries: dict[str, Retry] = {}
        self._first_ready: float | None = None
        self._started = False

    def offer(self, resolution: Resolution, *, now: float, edited: bool = False) -> None:
        """Take a template's new resolution. `edited`: a person changed its text, so what is held is tried at once."""
        name = resolution.template
        self._resolutions[name] = resolution
        if isinstance(resolution, Rendering):
            old = self._wanted.get(name)
            self._wanted[name] = resolution
            if edited:
                self._retries.pop(name, None)
            if old is None or old.content != resolution.content:
                self._pace.touch(now=now)
        if not isinstance(resolution, Missing) and self._first_ready is None:
            self._first_ready = now

    def due(self) -> float | None:
        """When to commit next; None: not before something changes."""
        if not self._started:
            return self._first_due()
        frozen = [retry.due for retry in self._retries.values() if retry.holds is Holds.GROUP]
        if frozen:
            return max(frozen)
        dues = [retry.due for retry in self._retries.values()]
        if (due := self._pace.due()) is not None:
            dues.append(due)
        return min(dues, default=None)

    def take(self, *, now: float) -> list[tuple[Template, Rendering]]:
        """Take what is due in hand: everything that is wanted and not held, in the order of the configuration."""
        self._started = True
        self._pace.take()
        held = {name for name in self._wanted if self._is_held(name, now=now)}
        if self._group.atomic and held and held >= self._retries.keys():
            return []  # nothing that held the group back is worth another try
        return [
            (template, self._wanted[template.name])
            for template in self._group.templates
            if template.name in self._wanted and (self._group.atomic or template.name not in held)
        ]

    def note(self, outcomes: Mapping[str, Outcome], *, now: float, random: float) -> None:
        """Note what came of what was taken, and maybe of what a template that is no more had left pending."""
        if any(not isinstance(outcome, Unchanged) for outcome in outcomes.values()):
            self._pace.fired(now=now)
        for name in outcomes.keys() & self._wanted.keys():
            match outcome := outcomes[name]:
                case Rejected():
                    self._hold(name, Holds.CONTENT, now=now, first=5.0, cap=300.0, random=random)
                case RolledBack():
                    self._hold(name, Holds.TEMPLATE, now=now, first=30.0, cap=600.0, random=random)
                case Broken():
                    self._hold(name, Holds.GROUP, now=now, first=30.0, cap=600.0, random=random)
                case Committed() if outcome.pending:
                    self._hold(name, Holds.NOTHING, now=now, first=30.0, cap=600.0, random=random)
                case _:
                    self._retries.pop(name, None)

    def next_try(self, name: str) -> float | None:
        """When a template that did not come to its end is tried again."""
        retry = self._retries.get(name)
        return retry.due if retry else None

    def _first_due(self) -> float | None:
        if self._first_ready is None:
            return None
        resolutions = [self._resolutions.get(template.name) for template in self._group.templates]
        if not any(resolution is None or isinstance(resolution, Missing) for resolution in resolutions):
            return self._first_ready
        return None if self._once else self._first_ready + FIRST_COMMIT_SECONDS

    def _is_held(self, name: str, *, now: float) -> bool:
        retry = self._retries.get(name)
        if retry is None or retry.due <= now or retry.holds is Holds.NOTHING:
            return False
        return retry.holds is not Holds.CONTENT or retry.content == self._wanted[name].content

    def _hold(self, name: str, holds: Holds, *, now: float, first: float, cap: float, random: float) -> None:
        old, content = self._retries.get(name), self._wanted[name].content
        again = old is not None and old.holds is holds and (holds is not Holds.CONTENT or old.content == content)
        backoff = old.backoff if old is not None and again else Backoff(first, cap)
        self._retries[name] = Retry(holds, content, now + backoff.next(random=random), backoff)
