"""How the last known good is written down: what the committed files followed from, and what is held.

A line a record. Whoever has read them all goes by the last that was said of each place and each template:

    {"is": "kept", "version": 2}
    {"is": "answer", "place": 7, "query": …, "value": …}        each once, whoever read it
    {"is": "template", "name": …, "reads": [0, 7], "given": [{"selection": …}], "listed": […]}
    {"is": "gone", "name": …}
    {"is": "end", "written": …, "holds": [{"template": …, "selection": …, "lost": [[node, id]], "age": …}]}

Each writing ends with `end`; lines after the last one are of a writing that a crash cut short, and count for nothing.
`given` and `listed` say what was returned only where it differs from what the kept answer gives, so that 50,000
instances are written once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
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

VERSION = 2

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


class Head(msgspec.Struct, tag_field="is", tag="kept"):
    """The first line."""

    version: int = VERSION


class AnswerLine(msgspec.Struct, Generic[_Value], tag_field="is", tag="answer", omit_defaults=True):
    """An answer that some template's file followed from. As what its value is read, its query tells."""

    place: int
    query: Query
    value: _Value
    bad: tuple[BadRecord, ...] = ()


class Given(msgspec.Struct, omit_defaults=True):
    """What a call of `service()` returned; None: what the kept answers give."""

    selection: Selection
    instances: tuple[Instance, ...] | None = None


class Listed(msgspec.Struct, omit_defaults=True):
    """What a call of `services()` returned; None: the kept answer."""

    query: Query
    services: tuple[ServiceName, ...] | None = None


class TemplateLine(msgspec.Struct, tag_field="is", tag="template"):
    """What a template's file followed from."""

    name: str
    reads: list[int]
    """Places."""
    given: list[Given]
    listed: list[Listed]


class Gone(msgspec.Struct, tag_field="is", tag="gone"):
    """A template that is no more."""

    name: str


class _Hold(msgspec.Struct):
    template: str
    selection: Selection
    before: int
    after: int
    lost: list[tuple[str, str]]
    reason: str
    age: float


class End(msgspec.Struct, tag_field="is", tag="end"):
    """The last line of a writing: with it, all that was written counts."""

    written: float
    """Seconds since the epoch."""
    holds: list[_Hold]


_Line: TypeAlias = Head | AnswerLine[msgspec.Raw] | TemplateLine | Gone | End
_LINES = msgspec.json.Decoder(_Line)
_END = re.compile(rb'(?<=\n)\{"is":"end",.*\n')


class Known(msgspec.Struct, frozen=True):
    """What was kept: the bases of committed files by template, what was held, and when that was."""

    bases: Mapping[str, Basis]
    holds: tuple[Held, ...]
    written: float
    """Seconds since the epoch."""


def end_of(holds: Iterable[Held], *, now: float) -> End:
    """Return the last line of a writing; `now` is in seconds since the epoch."""
    held = [
        _Hold(template, shrink.selection, shrink.before, shrink.after, sorted(shrink.lost), shrink.reason, age)
        for template, shrink, age in holds
    ]
    return End(now, held)


def line_of(name: str, basis: Basis, reads: list[int]) -> TemplateLine:
    """Return what is kept of a template beside the answers in the places `reads`."""
    given = [Given(selection, _differing(basis, selection)) for selection in basis.given]
    listed = [
        Listed(query, None if services == basis.answers[query].value else services)
        for query, services in basis.listed.items()
    ]
    return TemplateLine(name, reads, given, listed)


def decode(raw: bytes) -> Known:
    """Return what was kept. Raises ValueError or LookupError for what is damaged or of another version."""
    if msgspec.json.decode(raw.partition(b"\n")[0], type=_Version).version != VERSION:
        raise ValueError("it is of another version")
    answers: dict[int, AnswerLine[msgspec.Raw]] = {}
    templates: dict[str, TemplateLine] = {}
    end = End(0.0, [])
    for line in _lines(raw):
        match line:
            case AnswerLine(place=place):
                answers[place] = line
            case TemplateLine(name=name):
                templates[name] = line
            case Gone(name=name):
                del templates[name]
            case End():
                end = line
    known = {place: (line.query, _answer(line)) for place, line in answers.items()}
    return Known(
        {name: _basis(template, known) for name, template in templates.items()},
        tuple(map(_held, end.holds)),
        end.written,
    )


def _lines(raw: bytes) -> list[_Line]:
    """Return the lines up to the last `end`, or to the one before where what is between is torn.

    Each writing reached the disk before the next began (after one that failed all is written anew), so a crash can have
    torn the last only.
    """
    ends = [found.end() for found in _END.finditer(raw)]
    if not ends:
        raise ValueError("it has no end")
    try:
        return _LINES.decode_lines(raw[: ends[-1]])
    except ValueError:
        if len(ends) == 1:
            raise
        return _LINES.decode_lines(raw[: ends[-2]])


def _answer(line: AnswerLine[msgspec.Raw]) -> Answer:
    return Answer(msgspec.json.decode(line.value, type=_VALUES[line.query.kind]), line.bad)


def _basis(template: TemplateLine, answers: Mapping[int, tuple[Query, Answer]]) -> Basis:
    read = dict(answers[place] for place in template.reads)
    return Basis(
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
