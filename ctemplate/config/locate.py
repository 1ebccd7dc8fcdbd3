"""On which line a key stands, found by a light search of the text: the TOML parser keeps no lines.

It serves messages only. A line that it does not find is left out of the message; nothing else follows from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""Tables and key from the top, and the position in an array of tables: `("template", 1, "mode")`."""

_PART = r"""[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*'"""
_DOTTED = rf"(?:{_PART})(?:\s*\.\s*(?:{_PART}))*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=(.*)")
_STRING = re.compile(r"""\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}.*?'{3}|(?P<open>\"{3}|'{3})|"(?:[^"\\]|\\.)*"|'[^']*'|\#.*""")


def index_lines(text: str) -> Mapping[KeyPath, int]:
    """The line, from 1, of every table header and of every key that begins a line."""
    found: dict[KeyPath, int] = {}
    arrays: dict[KeyPath, int] = {}
    table: KeyPath = ()
    closing = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if closing:
            if closing in line:
                closing = ""
            continue
        header = _HEADER.match(line)
        key = None if header else _KEY.match(line)
        if header is not None:
            table = _resolved(_parts(header[2]), arrays)
            if header[1] == "[[":
                arrays[table] = arrays.get(table, -1) + 1
                table = (*table, arrays[table])
            found.setdefault(table, number)
        elif key is not None:
            found.setdefault((*table, *_parts(key[1])), number)
        closing = _opened(key[2] if key else line)
    return found


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int | None:
    """The line of `path`, or of the nearest table around it."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


def _parts(dotted: str) -> KeyPath:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))


def _resolved(names: KeyPath, arrays: Mapping[KeyPath, int]) -> KeyPath:
    """`names` with the position of the current element after each array of tables on the way."""
    path: KeyPath = ()
    for position, name in enumerate(names):
        path = (*path, name)
        if position < len(names) - 1 and path in arrays:
            path = (*path, arrays[path])
    return path


def _opened(rest: str) -> str:
    """The quotes of a multi-line string that begins in `rest` and does not end there."""
    return next((found["open"] for found in _STRING.finditer(rest) if found["open"]), "")
