"""What of the last known good must be written: what changed since it was written last, after what is there already.

Ten thousand services are 12 MB, of which a change is a few KB. All of it is written anew where nothing is known of what
is there, where half of the file says what is no longer so, and where a value of a key must not stay behind.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import NamedTuple

import msgspec

from ctemplate.engine.kept import KEYS, AnswerLine, Gone, Head, Held, TemplateLine, end_of, line_of
from ctemplate.model import Answer, Basis, Query


class Writing(NamedTuple):
    """Bytes that go into the file: in place of all that is there, or after it."""

    whole: bool
    pieces: Iterator[bytes]


class _Written(NamedTuple):
    basis: Basis
    line: TemplateLine


class Changes:
    """Knows what was written, and so what changed since. Where that could not be written, begin with a new one."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Write everything the next time."""
        self._with_keys: frozenset[str] = frozenset()
        self._templates: dict[str, _Written] = {}
        self._answers: dict[int, tuple[Query, Answer]] = {}
        """By place."""
        self._places: dict[tuple[Query, int], int] = {}
        """By query and `id()` of an answer, which is alive while `_answers` has it, and may answer two queries."""
        self._next = 0
        self._sizes: dict[int | str, int] = {}
        """By place, and by template: how long the line is that says what is so."""
        self._needed = 0
        """The sum of these."""
        self.bytes = 0
        """How long the file is by now."""

    def since(self, bases: Mapping[str, Basis], holds: Iterable[Held], *, with_keys: frozenset[str]) -> Writing:
        """Return what must be written; `with_keys`: the templates that may have values of keys kept, too."""
        unused = self._unused(bases)
        whole = (
            self.bytes >= 2 * self._needed
            or with_keys != self._with_keys
            or any(self._answers[place][0].kind in KEYS for place in unused)
        )
        if whole:
            self.forget()
            unused = set()
        self._with_keys = with_keys
        return Writing(whole, self._counted(self._lines(bases, unused, holds), whole=whole))

    def _unused(self, bases: Mapping[str, Basis]) -> set[int]:
        """Return the places of answers that no file follows from any more."""
        used: set[int] = set()
        for name, basis in bases.items():
            kept = self._templates.get(name)
            if kept is not None and kept.basis is basis:
                used.update(kept.line.reads)
            else:
                asked = ((query, id(answer)) for query, answer in self._to_keep(name, basis))
                used.update(self._places[key] for key in asked if key in self._places)
        return self._answers.keys() - used

    def _lines(self, bases: Mapping[str, Basis], unused: set[int], holds: Iterable[Held]) -> Iterator[msgspec.Struct]:
        free = {}
        for place in unused:
            query, answer = self._answers.pop(place)
            del self._places[query, id(answer)]
            self._resize(place, 0)
            free[query] = place  # the next answer to the same query: who read this one reads that one, nearly always
        for name, basis in bases.items():
            kept = self._templates.get(name)
            if kept is not None and kept.basis is basis:
                continue
            reads = []
            for query, answer in self._to_keep(name, basis):
                if (query, id(answer)) not in self._places:
                    place = self._put(query, answer, free.pop(query, None))
                    yield AnswerLine(place, query, answer.value, answer.bad)
                reads.append(self._places[query, id(answer)])
            line = line_of(name, basis, reads)
            if kept is None or kept.line != line:
                yield line
            self._templates[name] = _Written(basis, line)
        for name in self._templates.keys() - bases.keys():
            del self._templates[name]
            self._resize(name, 0)
            yield Gone(name)
        yield end_of(holds, now=time.time())

    def _to_keep(self, name: str, basis: Basis) -> Iterator[tuple[Query, Answer]]:
        with_keys = name in self._with_keys
        return ((query, answer) for query, answer in basis.answers.items() if with_keys or query.kind not in KEYS)

    def _put(self, query: Query, answer: Answer, place: int | None) -> int:
        if place is None:
            place, self._next = self._next, self._next + 1
        self._places[query, id(answer)] = place
        self._answers[place] = query, answer
        return place

    def _counted(self, lines: Iterator[msgspec.Struct], *, whole: bool) -> Iterator[bytes]:
        """Encode lines one by one, so that the loop seldom waits for long: who encodes lets nobody else run."""
        for line in chain((Head(),) if whole else (), lines):
            piece = msgspec.json.encode(line) + b"\n"
            self.bytes += len(piece)
            if isinstance(line, AnswerLine | TemplateLine):
                self._resize(line.place if isinstance(line, AnswerLine) else line.name, len(piece))
            yield piece

    def _resize(self, said: int | str, size: int) -> None:
        self._needed += size - self._sizes.get(said, 0)
        self._sizes[said] = size
