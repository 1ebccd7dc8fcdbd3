"""Finds the records that carry a refused value, so that one bad registration stops nobody else.

A value that was printed and refused is looked for in the fields of what the template read. A field that
the format refuses by itself and that is a part of the printed text counts as well (`name ~ "-x"`, `name|lower`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ctemplate.model import Instance, LeftOut, NodeServices, Query, ServiceName, Snapshot
from ctemplate.render.faults import Refusal
from ctemplate.render.formats import Format

Record = Instance | ServiceName


def _records(reads: Iterable[Query], snapshot: Snapshot) -> Iterator[Record]:
    for query in reads:
        answer = snapshot.answers.get(query)
        value = answer.value if answer is not None else None
        if isinstance(value, NodeServices):
            value = value.services
        if isinstance(value, tuple):
            yield from (record for record in value if isinstance(record, Instance | ServiceName))


def _fields(record: Record) -> Iterator[tuple[str, str]]:
    yield "name", record.name
    for tag in record.tags:
        yield "tags", tag
    if isinstance(record, Instance):
        for field in ("id", "address", "node", "node_address", "dc", "host", "endpoint"):
            yield field, getattr(record, field)
        for key, text in record.meta.items():
            yield "meta", key
            yield "meta", text
        for check in record.checks:
            yield "checks", check.id
            yield "checks", check.name


class Culprits:
    """The records that carry refused values of one template, as they are found pass by pass."""

    def __init__(self, format_: Format) -> None:
        self._format = format_
        self.left_out: dict[int, LeftOut] = {}
        """By the record's `id()`; the snapshot keeps the records alive."""

    def find(
        self, refusals: Iterable[Refusal], reads: Iterable[Query], snapshot: Snapshot, *, also: Iterable[Record] = ()
    ) -> bool:
        """Add the carriers of each refused value, among what was read and `also`; return whether there is any."""
        open_ = {refusal.value: refusal for refusal in refusals}
        known = len(self.left_out)
        for record in (*_records(reads, snapshot), *also):
            if id(record) in self.left_out:
                continue
            for field, text in _fields(record):
                value = self._matches(text, open_)
                if value is not None:
                    self.left_out[id(record)] = self._entry(record, field, open_[value])
                    break
        return len(self.left_out) > known

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
