"""Renderings minus disk: what a group would have to change, and how that reads as a diff.

Reads destinations, following symbolic links; writes and runs nothing, so `-dry` is this module alone.
"""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ctemplate.commit.attributes import owner_ids
from ctemplate.commit.reading import read
from ctemplate.errors import CommitError
from ctemplate.model import Change, Command, Plan, Rejected, Rendering, Step
from ctemplate.settings import Template

DIFF_LINES = 20_000
"""What difflib is given at most, after what is equal at both ends is cut off; its time grows with the square."""
_CONTEXT = 3
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(128, 160)) if code != 9}
"""A catalog's values are shown on terminals: escape sequences must not act there."""
_RED, _GREEN, _CYAN, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[0m"


def make_plan(
    group: str,
    wanted: Sequence[tuple[Template, Rendering]],
    *,
    checks: tuple[Command, ...],
    atomic: bool,
) -> Plan:
    """Compare what a group's files should hold with what they do, and plan what differs.

    A mode or owner that is set and differs counts too. A destination that cannot be compared
    (unreadable, a directory, another template's by way of a symbolic link) costs only its own
    template, which `Plan.refused` names; all of them if the group is atomic.
    """
    changes: list[Change] = []
    refused: dict[str, Rejected] = {}
    taken: dict[Path, str] = {}
    for template, rendering in wanted:
        try:
            change = _compare(template, rendering)
            other = taken.setdefault(change.destination, template.name)
            if other != template.name:
                reason = f"{template.name} and {other} are one file: {change.destination}"
                raise CommitError(Step.STAGE, reason)  # noqa: TRY301 - refused as one that cannot be read is
            if change.content != change.old or _drifted(change):
                changes.append(change)
        except CommitError as error:
            refused[template.name] = Rejected(step=error.step, reason=error.reason)
    if atomic and refused:
        first = next(iter(refused.values()))
        refused |= {change.template: first for change in changes}
        changes = []
    return Plan(group=group, changes=tuple(changes), checks=checks, atomic=atomic, refused=refused)


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


def _compare(template: Template, rendering: Rendering) -> Change:
    try:
        template.name.encode()  # journals and status files are UTF-8
        destination = Path(os.path.realpath(template.destination))
        old = read(destination)
    except UnicodeEncodeError:
        raise CommitError(Step.STAGE, f"{template.name!r}: the path is not UTF-8") from None
    except OSError as error:
        raise CommitError(Step.STAGE, f"{template.name} cannot be read: {error.strerror}") from error
    return Change(
        template=template.name,
        destination=destination,
        content=rendering.content,
        old=old,
        mode=template.mode,
        user=template.user,
        group=template.group,
        backup=template.backup,
        create_dirs=template.create_dirs,
        sensitive=template.sensitive,
        command=template.command,
    )


def _drifted(change: Change) -> bool:
    """Whether the mode or owner that was asked for is not the file's."""
    if change.mode is None and change.user is None and change.group is None:
        return False
    try:
        has = change.destination.stat()
    except OSError as error:
        raise CommitError(Step.STAGE, f"{change.destination} cannot be read: {error.strerror}") from error
    uid, gid = owner_ids(change)
    mode_differs = change.mode is not None and stat.S_IMODE(has.st_mode) != change.mode
    return mode_differs or uid not in (-1, has.st_uid) or gid not in (-1, has.st_gid)


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
