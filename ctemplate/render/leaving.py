"""Finds the records that carry a refused value, so that one bad registration stops nobody else.

A value that was printed and refused is looked for in the fields of what the template read; a field that the
format refuses by itself and that is a part of the printed text counts as well (`name ~ "-x"`, `name|lower`).
But the same text may stand, unprinted, in the fields of others: somebody may have copied it there, and an empty
text is everywhere. So those records are only suspects. The template is rendered once more with each suspected
field marked, in its text or, where it is empty, as an object; whose marks are refused, goes.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from ctemplate.model import Check, Instance, LeftOut, NodeServices, Query, ServiceName, Snapshot
from ctemplate.render.faults import Refusal
from ctemplate.render.formats import Format

Record = Instance | ServiceName

_PROBE = re.compile("\ue003([0-9]+)\\.([0-9]+)\ue003")


def _staying(method: Callable[..., str]) -> Any:
    return lambda self, *arguments: method(self, *arguments) if self else self


class Probe(str):
    """A suspected field in a marked rendering. An empty one stays empty, and itself, through what keeps it empty."""

    __slots__ = ("mark",)
    mark: str

    def __new__(cls, text: str, mark: str) -> Probe:
        """`mark` goes to the end of the text, unless that is empty."""
        self = str.__new__(cls, f"{text}{mark}" if text else "")
        self.mark = mark
        return self

    lower, upper, casefold = _staying(str.lower), _staying(str.upper), _staying(str.casefold)
    title, capitalize, swapcase = _staying(str.title), _staying(str.capitalize), _staying(str.swapcase)
    strip, lstrip, rstrip = _staying(str.strip), _staying(str.lstrip), _staying(str.rstrip)
    replace = _staying(str.replace)


def unmarked(name: str) -> str:
    """Return the name that a marked one was."""
    return _PROBE.sub("", name) if "\ue003" in name else name


def _records(reads: Iterable[Query], snapshot: Snapshot) -> Iterator[Record]:
    for query in reads:
        answer = snapshot.answers.get(query)
        value = answer.value if answer is not None else None
        if isinstance(value, NodeServices):
            value = value.services
        if isinstance(value, tuple):
            yield from (record for record in value if isinstance(record, Instance | ServiceName))


_TEXTS = ("name", "id", "address", "node", "node_address", "dc")
"""Fields of one text. `host` and `endpoint` follow from the address."""


class Culprits:
    """The records that carry refused values of one template, as they are found pass by pass."""

    def __init__(self, format_: Format) -> None:
        self._format = format_
        self.left_out: dict[int, LeftOut] = {}
        """By the record's `id()`; the snapshot keeps the records alive."""
        self.probes: Mapping[int, Record] = {}
        """Not empty: the next pass is given these in the place of the suspects, by `id()`."""
        self._nonce = ""
        self._suspected: list[tuple[Record, str, Refusal]] = []
        """Record, field and refusal of each mark."""

    def search(
        self, refusals: Iterable[Refusal], reads: Iterable[Query], snapshot: Snapshot, *, also: Iterable[Record] = ()
    ) -> bool:
        """Go on from what a pass refused: mark suspects among what was read and `also`, then convict some of them.

        Returns False where nobody is found.
        """
        if self.probes:
            return self._convict(refusals)
        self._nonce = str(secrets.randbits(64))  # nobody can register somebody else's mark
        self._suspected = []
        open_ = {str.__str__(refusal.value): refusal for refusal in refusals}
        probes: dict[int, Record] = {}
        for record in (*_records(reads, snapshot), *also):
            if id(record) not in self.left_out and id(record) not in probes:
                probe = self._probe(record, open_)
                if probe is not None:
                    probes[id(record)] = probe
        self.probes = probes
        return bool(probes)

    def _convict(self, refusals: Iterable[Refusal]) -> bool:
        """Leave out whose marks were refused, or the only suspect; return whether there is any."""
        marks = [
            found[2]
            for refusal in refusals
            for found in _PROBE.finditer(getattr(refusal.value, "mark", refusal.value))
            if found[1] == self._nonce
        ]
        numbers = list(dict.fromkeys(map(int, marks))) or ([0] if len(self.probes) == 1 else [])
        for number in numbers:
            record, field, refusal = self._suspected[number]
            self.left_out.setdefault(id(record), self._entry(record, field, refusal))
        self.probes = {}
        return bool(numbers)

    def _probe(self, record: Record, open_: dict[str, Refusal]) -> Record | None:
        """Return a copy of the record with its suspected fields marked; None if it has none."""
        known = len(self._suspected)

        def marked(text: str, field: str) -> str:
            value = self._matches(text, open_)
            if value is None:
                return text
            self._suspected.append((record, field, open_[value]))
            return Probe(text, f"\ue003{self._nonce}.{len(self._suspected) - 1}\ue003")

        changes: dict[str, Any] = {"tags": tuple(marked(tag, "tags") for tag in record.tags)}
        for field in _TEXTS if isinstance(record, Instance) else _TEXTS[:1]:
            changes[field] = marked(getattr(record, field), field)
        if isinstance(record, Instance):
            if len(self._suspected) == known and (found := self._composed(record, open_)) is not None:
                self._suspected.append((record, found[0], open_[found[1]]))
                changes["address"] = Probe(record.address, f"\ue003{self._nonce}.{len(self._suspected) - 1}\ue003")
            changes["meta"] = {marked(key, "meta"): marked(text, "meta") for key, text in record.meta.items()}
            changes["all_checks"] = record.all_checks and tuple(
                Check(marked(check.id, "checks"), marked(check.name, "checks"), check.status) for check in record.checks
            )
        return msgspec.structs.replace(record, **changes) if len(self._suspected) > known else None

    def _composed(self, record: Instance, open_: dict[str, Refusal]) -> tuple[str, str] | None:
        for field in ("host", "endpoint"):
            value = self._matches(getattr(record, field), open_)
            if value is not None:
                return field, value
        return None

    def _matches(self, text: str, open_: dict[str, Refusal]) -> str | None:
        if text in open_:
            return text
        if not text or self._format.bare.fullmatch(text):
            return None
        folded = text.casefold()
        return next((value for value in open_ if folded in value.casefold()), None)

    def _entry(self, record: Record, field: str, refusal: Refusal) -> LeftOut:
        node, id_ = (record.node, record.id) if isinstance(record, Instance) else ("", "")
        return LeftOut(service=record.name, node=node, id=id_, reason=f"{field}: {refusal}")
