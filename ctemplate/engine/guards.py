"""What was last committed of each template, and what is held because too much of it would go.

`render.guard` judges one rendering; here the judgements become holds, which last:

    begins      a rendering holds a selection that was not held
    ends        a rendering holds it no longer: its instances are back, or as many others are there
    released    it lasted `max_hold` and the catalog's leader confirms it, or a person said so

A released loss is taken out of the baseline, and nothing else is: whatever is lost beyond it is judged anew. The
baseline moves with every commit, and with every rendering that differs from the committed one in nothing but what
it was made of. Pure: `now` is in seconds of one monotonic clock, and who asks the leader is `leader`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

import msgspec

from ctemplate.engine.holding import HoldEnded, HoldReleased, ServiceHeld, ShrinkPassed
from ctemplate.events import Emit, Warned
from ctemplate.model import Basis, Identity, Instance, Rendering, Shrink
from ctemplate.render.guard import Baseline, identity
from ctemplate.render.services import Selection
from ctemplate.settings import FOREVER, Settings

ASK_AGAIN_SECONDS = 5.0
"""After which the leader is asked again, where it could not be asked or did not confirm what is overdue."""

NOT_ASKED, CONFIRMS, DENIES = "not asked yet", "confirms it", "still has some of them"


class Hold(msgspec.Struct):
    """One selection of one template that keeps instances which its catalog no longer has."""

    template: str
    shrink: Shrink
    began: float
    due: float
    """When it goes through; infinite: not by itself."""
    ask_at: float
    """When the leader is asked next."""
    original: int
    """How many instances there were when it began."""
    leader: str = NOT_ASKED

    @property
    def selection(self) -> Selection:
        """What is held."""
        return self.shrink.selection


class Released(msgspec.Struct):
    """What was let go while a rendering that still has it may be on its way into the file."""

    lost: frozenset[Identity]
    since: set[int] = msgspec.field(default_factory=set)
    """`id()` of the renderings made since; an older one is alive for as long as it is on its way."""


class Guards:
    """The baselines and holds of all templates. Used from one thread."""

    def __init__(self, settings: Settings, *, emit: Emit) -> None:
        self._settings = settings
        self._emit = emit
        self._bases: dict[str, Basis] = {}
        self._contents: dict[str, bytes] = {}
        self._baselines: dict[str, Baseline] = {}
        self._holds: dict[tuple[str, Selection], Hold] = {}
        self._passed: dict[tuple[str, Selection], frozenset[Identity]] = {}
        self._released: dict[tuple[str, Selection], Released] = {}
        self.changes = 0
        """Grows whenever there is something new to keep on disk."""

    def configure(self, settings: Settings, *, now: float) -> None:
        """Go by other settings; templates that are no more are forgotten."""
        self._settings = settings
        self._baselines.clear()
        names = {template.name for template in settings.templates}
        for name in self._bases.keys() - names:
            del self._bases[name]
        for key in [key for key in self._holds if key[0] not in names]:
            del self._holds[key]
        self._released = {key: released for key, released in self._released.items() if key[0] in names}
        for hold in self._holds.values():
            hold.due = hold.began + self._max_hold(hold)
            hold.ask_at = min(hold.ask_at, max(hold.due, now))
        self.changes += 1

    def restore(self, bases: Mapping[str, Basis], holds: Iterable[tuple[str, Shrink, float]], *, now: float) -> None:
        """Take up what an earlier run kept; a hold is (template, shrink, its age in seconds)."""
        names = {template.name for template in self._settings.templates}
        self._bases = {name: basis for name, basis in bases.items() if name in names}
        self._baselines.clear()
        for template, shrink, age in holds:
            if template in names:
                self._begin(template, shrink, began=now - age, now=now)

    def baseline(self, template: str) -> Baseline:
        """Return what the next rendering of a template is held against."""
        found = self._baselines.get(template)
        if found is None:
            basis = self._bases.get(template, Basis())
            found = Baseline(
                basis,
                limits=lambda service: self._settings.guard_of(template, service),
                held={selection: hold.original for (name, selection), hold in self._holds.items() if name == template},
            )
            self._baselines[template] = found
        return found

    @property
    def bases(self) -> Mapping[str, Basis]:
        """By template, what its committed rendering followed from."""
        return self._bases

    @property
    def holds(self) -> tuple[Hold, ...]:
        """Everything that is held, by template and service."""
        return tuple(hold for _, hold in sorted(self._holds.items(), key=lambda item: (item[0][0], str(item[0][1]))))

    def note(self, rendering: Rendering, *, now: float) -> None:
        """Note what a new rendering holds, and what it holds no longer."""
        name = rendering.template
        for released in self._released_of(name).values():
            released.since.add(id(rendering))
        held = self.hold(name, rendering.shrinks, now=now)
        for key in [key for key in self._holds if key[0] == name and key[1] not in held]:
            self._end(self._holds.pop(key), rendering, now=now)
        self._note_passed(rendering)
        if self._contents.get(name) == rendering.content:
            self.committed(rendering)

    def hold(self, name: str, shrinks: Iterable[Shrink], *, now: float) -> Set[Selection]:
        """Hold what a rendering goes on with, or one that lacks something for it; return what is held."""
        held = {shrink.selection: shrink for shrink in shrinks if shrink.held}
        for selection, shrink in held.items():
            hold = self._holds.get((name, selection))
            if hold is None:
                self._tell_held(self._begin(name, shrink, began=now, now=now))
            else:
                hold.shrink = shrink
        return held.keys()

    def committed(self, rendering: Rendering) -> None:
        """Note that a rendering is what its file holds: from now on this is the baseline.

        One that was on its way when something was released goes without that: it would be held again.
        """
        name, basis = rendering.template, rendering.basis
        for selection, released in self._released_of(name).items():
            if id(rendering) in released.since:
                del self._released[name, selection]
            elif selection in basis.given:
                given = {**basis.given, selection: _without(basis.given[selection], released.lost)}
                basis = msgspec.structs.replace(basis, given=given)
        self._bases[name] = basis
        self._contents[name] = rendering.content
        self._baselines.pop(name, None)
        self.changes += 1

    def next_ask(self) -> float | None:
        """When the leader is to be asked next; None: not before something changes."""
        return min((hold.ask_at for hold in self._holds.values() if hold.ask_at != FOREVER), default=None)

    def to_ask(self, *, now: float) -> list[Hold]:
        """Return the holds about which the leader is to be asked now."""
        return [hold for hold in self._holds.values() if hold.ask_at <= now]

    def leader_said(self, hold: Hold, instances: Iterable[Instance], *, now: float) -> bool:
        """Note the leader's own instances of a held selection; tells whether that releases the hold."""
        still = hold.shrink.lost & set(map(identity, instances))
        overdue = hold.due <= now
        if still and hold.leader != DENIES:
            self._emit(
                Warned(
                    message=f"{hold.selection}: the catalog's leader still has {len(still)} of the "
                    f"{len(hold.shrink.lost)} instances that an answer was without: it was a stale one; held on"
                )
            )
        hold.leader = DENIES if still else CONFIRMS
        if overdue and not still and self._holds.get((hold.template, hold.selection)) is hold:
            self._release([hold], why="it lasted, and the catalog's leader confirms it", now=now)
            return True
        hold.ask_at = now + ASK_AGAIN_SECONDS if overdue else hold.due
        return False

    def leader_silent(self, hold: Hold, reason: str, *, now: float) -> None:
        """Note that the leader could not be asked."""
        hold.leader = f"cannot be asked: {reason}"
        hold.ask_at = now + ASK_AGAIN_SECONDS

    def release(self, service: str, *, now: float) -> list[Hold]:
        """Let every held loss of a service through, because a person said so; return what was held."""
        found = [hold for hold in self.holds if hold.selection.service == service]
        self._release(found, why=f"by `ctemplate release {service}`", now=now)
        return found

    def _begin(self, template: str, shrink: Shrink, *, began: float, now: float) -> Hold:
        hold = Hold(template, shrink, began=began, due=0.0, ask_at=now, original=shrink.before)
        hold.due = began + self._max_hold(hold)
        self._holds[template, shrink.selection] = hold
        self._baselines.pop(template, None)
        self.changes += 1
        return hold

    def _end(self, hold: Hold, rendering: Rendering, *, now: float) -> None:
        given = rendering.basis.given.get(hold.selection)
        if given is None:
            why = "the template asks for it no longer"
        elif hold.shrink.lost <= set(map(identity, given)):
            why = "its instances are back"
        else:
            why = "others took the place of those that were lost"
        self._baselines.pop(hold.template, None)
        self.changes += 1
        self._emit(HoldEnded(service=str(hold.selection), template=hold.template, seconds=now - hold.began, reason=why))

    def _release(self, holds: Iterable[Hold], *, why: str, now: float) -> None:
        given: dict[str, dict[Selection, tuple[Instance, ...]]] = {}
        for hold in holds:
            del self._holds[hold.template, hold.selection]
            basis = self._bases.get(hold.template, Basis())
            changed = given.setdefault(hold.template, dict(basis.given))
            changed[hold.selection] = _without(changed.get(hold.selection, ()), hold.shrink.lost)
            self._released[hold.template, hold.selection] = Released(hold.shrink.lost)
            self._emit(
                HoldReleased(
                    service=str(hold.selection),
                    template=hold.template,
                    lost=len(hold.shrink.lost),
                    seconds=now - hold.began,
                    reason=why,
                )
            )
        for template, changed in given.items():
            basis = self._bases.get(template, Basis())
            self._bases[template] = msgspec.structs.replace(basis, given=changed)
            self._baselines.pop(template, None)
            self._contents.pop(template, None)
        self.changes += 1

    def _released_of(self, template: str) -> dict[Selection, Released]:
        return {selection: released for (name, selection), released in self._released.items() if name == template}

    def _note_passed(self, rendering: Rendering) -> None:
        """Tell once what only a warning guards."""
        name = rendering.template
        passed = {shrink.selection: shrink for shrink in rendering.shrinks if not shrink.held}
        for selection, shrink in passed.items():
            if self._passed.get((name, selection)) != shrink.lost:
                self._emit(ShrinkPassed(service=str(selection), template=name, reason=shrink.reason))
        self._passed = {
            **{key: lost for key, lost in self._passed.items() if key[0] != name},
            **{(name, selection): shrink.lost for selection, shrink in passed.items()},
        }

    def _max_hold(self, hold: Hold) -> float:
        return self._settings.guard_of(hold.template, hold.selection.service).max_hold

    def _tell_held(self, hold: Hold) -> None:
        shrink = hold.shrink
        self._emit(
            ServiceHeld(
                service=str(shrink.selection),
                name=shrink.selection.service,
                template=hold.template,
                before=shrink.before,
                after=shrink.after,
                reason=shrink.reason,
                max_hold=self._max_hold(hold),
            )
        )


def _without(instances: Iterable[Instance], lost: frozenset[Identity]) -> tuple[Instance, ...]:
    return tuple(instance for instance in instances if identity(instance) not in lost)
