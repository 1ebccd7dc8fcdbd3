"""What one pass over a template asked for: its dependencies are found by running it.

A query without an answer gets an empty stand-in and marks the pass as missing; its output and its
exception are thrown away, and everything that was missing is reported at once.
"""

from __future__ import annotations

from collections.abc import Callable

from ctemplate.model import Answer, Query, Snapshot


class Pass:
    """One rendering of one template: what it read, what it lacked, which instances it was given."""

    def __init__(self, snapshot: Snapshot, *, left_out: frozenset[int], on_lack: Callable[[], None]) -> None:
        self.snapshot = snapshot
        self.left_out = left_out
        """`id()` of the records that this pass goes without; the snapshot keeps them alive."""
        self.reads: set[Query] = set()
        self.missing: set[Query] = set()
        """Asked and never answered."""
        self.absent: set[Query] = set()
        """Answered: there is no such key or file, and there is no default."""
        self.given: set[int] = set()
        """`id()` of the instances that were given to the template."""
        self._answers = snapshot.answers
        self._on_lack = on_lack

    @property
    def lacking(self) -> bool:
        """Whether this pass must be thrown away."""
        return bool(self.missing or self.absent)

    def answer(self, query: Query) -> Answer | None:
        """Return the answer to a query; None, and the pass is lacking, if there is none yet."""
        self.reads.add(query)
        found = self._answers.get(query)
        if found is None:
            self.missing.add(query)
            self._on_lack()
        return found

    def lack(self, query: Query) -> None:
        """Note that what the query asks for does not exist, and that the template cannot go without."""
        self.absent.add(query)
        self._on_lack()


IDLE = Pass(Snapshot(answers={}), left_out=frozenset(), on_lack=lambda: None)
"""The pass of an environment that is not rendering."""
