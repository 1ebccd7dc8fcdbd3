"""How a planned change reads as a diff."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from ctemplate.changes import Change

DIFF_LINES = 20_000
"""What difflib is given at most, after what is equal at both ends is cut off; its time grows with the square."""
_CONTEXT = 3
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(128, 160)) if code != 9}
"""A catalog's values are shown on terminals: escape sequences must not act there."""
_RED, _GREEN, _CYAN, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[0m"


def unified_diff(change: Change, *, color: bool = False) -> str:
    """Return the difference as `diff -u` shows it, ending without a newline; never for a sensitive template."""
    if change.sensitive:
        return f"{change.destination}: differs (not shown: the template is sensitive)"
    if change.old == change.content:
        return f"{change.destination}: the bytes are equal, mode or owner differ"
    name = str(change.destination).translate(_CONTROL)
    head = [f"--- {'/dev/null' if change.old is None else name}", f"+++ {name}"]
    body = (line.translate(_CONTROL) for line in _hunks(_lines(change.old or b""), _lines(change.content)))
    lines = [*head, *body]
    return "\n".join(_colored(line) for line in lines) if color else "\n".join(lines)


def _lines(content: bytes) -> list[str]:
    text = content.decode(errors="backslashreplace")
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    else:
        lines[-1] += "  (no newline at the end)"
    return lines


def _hunks(old: list[str], new: list[str]) -> Iterator[str]:
    """Yield the hunks; where too much differs, one that replaces all of it, which is a true diff too."""
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    start, cut = max(0, head - _CONTEXT), max(0, tail - _CONTEXT)
    whole = len(old) - cut - start, len(new) - cut - start
    if sum(whole) > DIFF_LINES or 0 in whole:
        yield f"@@ -{_range(start, whole[0])} +{_range(start, whole[1])} @@"
        yield from (f"-{line}" for line in old[start : len(old) - cut])
        yield from (f"+{line}" for line in new[start : len(new) - cut])
        return
    for group in _Middle(old, new, head=head, tail=tail).get_grouped_opcodes(_CONTEXT):
        i1, i2, j1, j2 = group[0][1], group[-1][2], group[0][3], group[-1][4]
        yield f"@@ -{_range(i1, i2 - i1)} +{_range(j1, j2 - j1)} @@"
        for tag, a1, a2, b1, b2 in group:
            if tag == "equal":
                yield from (f" {line}" for line in old[a1:a2])
                continue
            yield from (f"-{line}" for line in old[a1:a2])
            yield from (f"+{line}" for line in new[b1:b2])


class _Middle(difflib.SequenceMatcher[str]):
    """Compares only what lies between equal ends. They are no part of the comparison, so that they stay context."""

    def __init__(self, old: list[str], new: list[str], *, head: int, tail: int) -> None:
        super().__init__(None, old[head : len(old) - tail], new[head : len(new) - tail])
        self._head = head
        self._ends = (len(old), len(new))
        self._tail = tail

    def get_opcodes(self) -> list[tuple[Any, int, int, int, int]]:
        """Return the steps from old to new, counted in whole files."""
        head, tail, (old, new) = self._head, self._tail, self._ends
        middle = [(tag, a1 + head, a2 + head, b1 + head, b2 + head) for tag, a1, a2, b1, b2 in super().get_opcodes()]
        before = [("equal", 0, head, 0, head)] if head else []
        after = [("equal", old - tail, old, new - tail, new)] if tail else []
        return [*before, *middle, *after]


def _range(start: int, length: int) -> str:
    """A hunk's place as diff writes it: counted from 1; an empty one names the line before it."""
    return f"{start + 1 if length else start},{length}"


def _colored(line: str) -> str:
    if line.startswith(("---", "+++")):
        return line
    color = {"-": _RED, "+": _GREEN, "@": _CYAN}.get(line[:1])
    return f"{color}{line}{_PLAIN}" if color else line
