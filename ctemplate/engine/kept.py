"""How the last known good is written down: what the committed files followed from, and what is held.

    {"version": 1, "written": …,
     "answers": [{"query": …, "value": …}],          each once, whoever read it
     "templates": [{"name": …, "reads": [0, 7], "given": [{"selection": …}], "listed": […]}],
     "holds": [{"template": …, "selection": …, "lost": [[node, id]], "age": …}]}

`given` and `listed` say what was returned only where it differs from what the kept answer gives, so that 50,000
instances are written once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeAlias, TypeVar, cast

import msgspec

from ctemplate.model import (
    Answer,
    BadRecord,
    Basis,
    Instance,
    KeyValue,
    Kind,
    Node,
    NodeServices,
    Query,
    ServiceName,
    Shrink,
)
from ctemplate.render.guard import taken
from ctemplate.render.services import Selection

VERSION = 1

PIECE_RECORDS, TEXT_CHARACTERS = 500, 500
"""Instances, keys or names that are encoded at once, a long text for as many as it has so many characters: a
millisecond's work."""

KEYS = (Kind.KEY, Kind.KEYS)
"""What may hold secrets, and is kept only where `keep_keys` asks for it."""

_VALUES: Mapping[Kind, Any] = {
    Kind.SERVICE: tuple[Instance, ...],
    Kind.SERVICES: tuple[ServiceName, ...],
    Kind.NODES: tuple[Node, ...],
    Kind.NODE: NodeServices | None,
    Kind.DATACENTERS: tuple[str, ...],
    Kind.KEY: str | None,
    Kind.KEYS: tuple[KeyValue, ...],
}

_Value = TypeVar("_Value")

Held: TypeAlias = tuple[str, Shrink, float]
"""Template, what is held, and for how many seconds."""


class _Answer(msgspec.Struct, Generic[_Value], omit_defaults=True):
    query: Query
    value: _Value
    bad: tuple[BadRecord, ...] = ()


class _Given(msgspec.Struct, omit_defaults=True):
    selection: Selection
    instances: tuple[Instance, ...] | None = None


class _Listed(msgspec.Struct, omit_defaults=True):
    query: Query
    services: tuple[ServiceName, ...] | None = None


class _Template(msgspec.Struct):
    name: str
    reads: list[int]
    given: list[_Given]
    listed: list[_Listed]


class _Hold(msgspec.Struct):
    template: str
    selection: Selection
    before: int
    after: int
    lost: list[tuple[str, str]]
    reason: str
    age: float


class _Kept(msgspec.Struct):
    version: int
    written: float
    templates: list[_Template]
    holds: list[_Hold]
    answers: list[_Answer[msgspec.Raw]]
    """The last: it is nearly all there is, and written piece by piece. What it is read as, its query tells."""


class Known(msgspec.Struct, frozen=True):
    """What was kept: the bases of committed files by template, what was held, and when that was."""

    bases: Mapping[str, Basis]
    holds: tuple[Held, ...]
    written: float
    """Seconds since the epoch."""


def encode(bases: Mapping[str, Basis], holds: Iterable[Held], *, with_keys: frozenset[str]) -> Iterator[bytes]:
    """Yield what is kept, in pieces: 50,000 instances are 15 MB. `with_keys`: who may have values of keys kept, too."""
    places: dict[int, int] = {}
    answers: list[_Answer[object]] = []
    templates: list[_Template] = []
    for name, basis in bases.items():
        reads = []
        for query, answer in basis.answers.items():
            if query.kind in KEYS and name not in with_keys:
                continue
            place = places.get(id(answer))
            if place is None:
                place = places[id(answer)] = len(answers)
                answers.append(_Answer(query, answer.value, answer.bad))
            reads.append(place)
        given = [_Given(selection, _differing(basis, selection)) for selection in basis.given]
        listed = [
            _Listed(query, None if services == basis.answers[query].value else services)
            for query, services in basis.listed.items()
        ]
        templates.append(_Template(name, reads, given, listed))
    held = [
        _Hold(template, shrink.selection, shrink.before, shrink.after, sorted(shrink.lost), shrink.reason, age)
        for template, shrink, age in holds
    ]
    yield msgspec.json.encode(_Kept(VERSION, time.time(), templates, held, [])).removesuffix(b"]}")
    for place, piece in enumerate(_pieces(answers)):
        yield (b"," if place else b"") + msgspec.json.encode(piece)[1:-1]
    yield b"]}"


def _pieces(answers: Iterable[_Answer[object]]) -> Iterator[list[_Answer[object]]]:
    """Divide answers, so that the loop never waits for long: a thread that encodes lets nobody else run."""
    piece: list[_Answer[object]] = []
    records = 0
    for answer in answers:
        piece.append(answer)
        records += _records(answer.value)
        if records >= PIECE_RECORDS:
            yield piece
            piece, records = [], 0
    if piece:
        yield piece


def _records(value: object) -> int:
    """Return for how many records a value counts."""
    match value:
        case NodeServices(services=services):
            return 1 + len(services)
        case str(text) | KeyValue(value=text):
            return 1 + len(text) // TEXT_CHARACTERS
        case (KeyValue(), *_):
            return sum(map(_records, value))
        case tuple():
            return len(value)
    return 1


def decode(raw: bytes) -> Known:
    """Return what `encode` wrote. Raises ValueError for what is damaged or of another version."""
    if msgspec.json.decode(raw, type=_Version).version != VERSION:
        raise ValueError("it is of another version")
    kept = msgspec.json.decode(raw, type=_Kept)
    answers = [(a.query, Answer(msgspec.json.decode(a.value, type=_VALUES[a.query.kind]), a.bad)) for a in kept.answers]
    bases: dict[str, Basis] = {}
    for template in kept.templates:
        read = dict(answers[place] for place in template.reads)
        bases[template.name] = Basis(
            answers=read,
            given={
                given.selection: _taken(read, given.selection) if given.instances is None else given.instances
                for given in template.given
            },
            listed={
                listed.query: cast(tuple[ServiceName, ...], read[listed.query].value)
                if listed.services is None
                else listed.services
                for listed in template.listed
            },
        )
    return Known(bases, tuple(map(_held, kept.holds)), kept.written)


def _held(hold: _Hold) -> Held:
    shrink = Shrink(
        selection=hold.selection,
        before=hold.before,
        after=hold.after,
        lost=frozenset(hold.lost),
        reason=hold.reason,
        held=True,
    )
    return hold.template, shrink, hold.age


class _Version(msgspec.Struct):
    version: int


def _taken(answers: Mapping[Query, Answer], selection: Selection) -> tuple[Instance, ...]:
    return tuple(taken(selection, (answers[query] for query in selection.queries)))


def _differing(basis: Basis, selection: Selection) -> tuple[Instance, ...] | None:
    given, queries = basis.given[selection], selection.queries
    if len(queries) == 1 and given is basis.answers[queries[0]].value:
        return None  # all of it, as nearly always
    return None if given == _taken(basis.answers, selection) else given
