"""What every template's file should hold, kept current: only what read something that changed is rendered."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence, Set

import msgspec

from ctemplate.engine.guards import Guards
from ctemplate.engine.memory import memory_limited
from ctemplate.engine.signals import RENDER_SECONDS, Interrupted, Signals
from ctemplate.engine.stale import FollowsAgain, RenderedStale, StaleStart
from ctemplate.events import Emit, Event, Level
from ctemplate.model import (
    DISK,
    Answer,
    Failed,
    Kind,
    LeftOut,
    Missing,
    Query,
    Rendering,
    Resolution,
    Snapshot,
)
from ctemplate.render.resolve import Renderer
from ctemplate.settings import Template

MOST_NAMED = 5
"""A line names this many changed services, and counts the others."""


class Rendered(Event, frozen=True, kw_only=True):
    """A template's content changed."""

    can_wait = True
    template: str
    why: str
    """What changed in what it reads, such as `web +2 −1`; empty the first time."""
    instances: int
    size: int
    """Bytes."""
    seconds: float

    def text(self) -> str:
        """The log line."""
        why = f" after {self.why}" if self.why else ""
        return (
            f"rendered {self.template}{why}: {self.instances} instances, {self.size} bytes, {self.seconds * 1e3:.1f} ms"
        )


class RenderFailed(Event, frozen=True, kw_only=True):
    """A template cannot render; its file stays."""

    level = Level.ERROR
    template: str
    reason: str

    def text(self) -> str:
        """The log line."""
        return f"cannot render {self.template}, its file stays as it is: {self.reason}"


class Waiting(Event, frozen=True, kw_only=True):
    """A template waits for keys or files that do not exist and for which it gave no default."""

    level = Level.WARNING
    template: str
    keys: tuple[str, ...]

    def text(self) -> str:
        """The log line."""
        return f"{self.template} waits for {', '.join(self.keys)}: not there yet, and without a default"


class InstanceOmitted(Event, frozen=True, kw_only=True):
    """An instance carries a value that the output format refuses; the template was rendered without it."""

    level = Level.WARNING
    template: str
    service: str
    node: str
    id: str
    reason: str

    def text(self) -> str:
        """The log line."""
        return f"{self.template} leaves out {self.id} of {self.service} on node {self.node or '-'}: {self.reason}"


class Book:
    """The current resolution of each template, and who reads what."""

    def __init__(
        self, templates: Sequence[Template], *, renderer: Renderer, guards: Guards, signals: Signals, emit: Emit
    ) -> None:
        self._templates = {template.name: template for template in templates}
        self._renderer = renderer
        self._guards = guards
        self._signals = signals
        self._emit = emit
        self._snapshot = Snapshot({})
        self._readers: dict[Query, set[str]] = {}
        self._reads: dict[str, frozenset[Query]] = {}
        self._told: set[object] = set()
        self.stale = StaleStart({}, written=0.0)
        self.resolutions: dict[str, Resolution] = {}
        self.wanted: frozenset[Query] = frozenset()
        """Everything that any template reads."""

    def refresh(self, snapshot: Snapshot, changed: Iterable[Query] | None) -> list[str]:
        """Render what read something in `changed` (None: all); return the templates that have a new resolution.

        Raises Interrupted when SIGTERM cut a rendering short.
        """
        before, self._snapshot = self._snapshot, snapshot
        if changed is None:
            dirty = set(self._templates)
        else:
            changed = set(changed)
            dirty = {name for query in changed for name in self._readers.get(query, ())}
            dirty = {name for name in dirty if not self._still_lacks(name, changed)}
        return [
            name
            for name in self._templates
            if name in dirty and self._resolve(name, before=before, changed=changed or ())
        ]

    def refresh_one(self, name: str) -> bool:
        """Render one template again, since its guard judges differently now; tell whether that changed anything.

        Raises Interrupted.
        """
        return self._resolve(name, before=self._snapshot, changed=())

    def missing(self) -> frozenset[Query]:
        """Return every query that keeps a template from rendering."""
        return frozenset(
            query
            for resolution in self.resolutions.values()
            if isinstance(resolution, Missing)
            for query in (resolution.queries - self._snapshot.answers.keys()) | resolution.keys
        )

    def _still_lacks(self, name: str, changed: Set[Query]) -> bool:
        """Whether rendering must come to nothing: what came is a part of what was missing, and some of it still is.

        Thousands of services asked for at once are answered in many bursts, and one pass is enough.
        """
        old = self.resolutions.get(name)
        if not isinstance(old, Missing) or old.queries <= self._snapshot.answers.keys():
            return False
        if name in self.stale.names:
            return False  # a failure is news as well: older answers may take its place
        return self._reads[name] & changed <= old.queries

    def _resolve(self, name: str, *, before: Snapshot, changed: Iterable[Query]) -> bool:
        template, old = self._templates[name], self.resolutions.get(name)
        began = time.perf_counter()
        try:
            with self._signals.rendering(), memory_limited():
                new = self._render(template)
        except Interrupted:
            if self._signals.stopping:
                raise
            reason = f"it ran for longer than {RENDER_SECONDS:.0f} s and was stopped"
            new = Failed(template=name, reason=reason, reads=self._reads.get(name, frozenset()))
        self._note_reads(name, new.reads)
        if isinstance(new, Rendering):
            self._tell_stale(name, stale=new.stale)
        if new == old:
            return False
        self.resolutions[name] = new
        if isinstance(new, Rendering):
            self._guards.note(new, now=time.monotonic())
        elif isinstance(new, Missing):
            self._guards.hold(name, new.shrinks, now=time.monotonic())
        self._tell(new, old, why=_why(new.reads, changed, before, self._snapshot), seconds=time.perf_counter() - began)
        return True

    def _render(self, template: Template) -> Resolution:
        name = template.name
        baseline = self._guards.baseline(name)
        new = self._renderer.resolve(template, self._snapshot, baseline=baseline)
        if isinstance(new, Missing) and (older := self.stale.older(new, self._snapshot)) is not None:
            stale = self._renderer.resolve(template, older, baseline=baseline)
            if isinstance(stale, Rendering):
                new = msgspec.structs.replace(stale, stale=True)
        return new

    def _tell_stale(self, name: str, *, stale: bool) -> None:
        if stale and self.stale.use(name):
            self._emit(RenderedStale(template=name, written=self.stale.written))
        elif not stale and self.stale.end(name):
            self._emit(FollowsAgain(template=name))

    def _note_reads(self, name: str, reads: frozenset[Query]) -> None:
        old = self._reads.get(name, frozenset())
        if reads == old:
            return
        for query in old - reads:
            self._readers[query].discard(name)
            if not self._readers[query]:
                del self._readers[query]
        for query in reads - old:
            self._readers.setdefault(query, set()).add(name)
        self._reads[name] = reads
        self.wanted = frozenset(self._readers)

    def _tell(self, new: Resolution, old: Resolution | None, *, why: str, seconds: float) -> None:
        match new:
            case Rendering():
                if not isinstance(old, Rendering) or old.content != new.content:
                    self._emit(
                        Rendered(
                            template=new.template,
                            why=why,
                            instances=new.instances,
                            size=len(new.content),
                            seconds=seconds,
                        )
                    )
                for left in new.left_out:
                    self._tell_left_out(new.template, left)
            case Failed():
                self._emit(RenderFailed(template=new.template, reason=new.reason))
            case Missing(keys=keys) if keys and not new.queries:
                self._emit(Waiting(template=new.template, keys=tuple(sorted(str(key) for key in keys))))

    def _tell_left_out(self, template: str, left: LeftOut) -> None:
        if (template, left) in self._told:
            return
        self._told.add((template, left))
        self._emit(
            InstanceOmitted(template=template, service=left.service, node=left.node, id=left.id, reason=left.reason)
        )


def _why(reads: frozenset[Query], changed: Iterable[Query], before: Snapshot, after: Snapshot) -> str:
    """Say what changed in what a template reads: `web +2 −1 ~1` for instances, the query's name for the rest."""
    news = sorted(
        (query for query in changed if query in reads and query in before.answers and query in after.answers), key=str
    )
    said = [_difference(query, before.answers[query], after.answers[query]) for query in news[:MOST_NAMED]]
    if len(news) > MOST_NAMED:
        said.append(f"{len(news) - MOST_NAMED} others")
    return ", ".join(said)


def _difference(query: Query, old: Answer, new: Answer) -> str:
    if query.catalog == DISK:
        return query.name
    if query.kind is not Kind.SERVICE or not isinstance(old.value, tuple) or not isinstance(new.value, tuple):
        return str(query)
    was = {(i.node, i.id): i for i in old.value}  # type: ignore[union-attr]  # Kind.SERVICE: instances
    now = {(i.node, i.id): i for i in new.value}  # type: ignore[union-attr]  # Kind.SERVICE: instances
    parts = [
        (f"+{len(now.keys() - was.keys())}", now.keys() - was.keys()),
        (f"−{len(was.keys() - now.keys())}", was.keys() - now.keys()),
        (f"~{(n := sum(was[k] != now[k] for k in was.keys() & now.keys()))}", n),
    ]
    name = query.name if query.catalog == "default" else f"{query.catalog}:{query.name}"
    return " ".join([name, *(text for text, some in parts if some)])
