"""Where values may stand in nginx, HAProxy and keepalived: never where the server looks for a directive.

A value that passed its format's allow-list is one word, but `{{ host }} web;` makes it the *first* word,
and a host named `include` then reads a file. And a quoted value only stays one where quotes mean
something: `"{{ x|quote }}"` ends the author's quotes and lets the value out. So the finished text is
lexed with its values marked (`OPEN` for a bare value, `QUOTED` for a quoted one, one mark each), and refused
if a mark stands in the first word of a statement, after a directive that runs or reads what it names, or
(a quoted one) where a quote is an ordinary character.

The lexers follow the servers' own tokenizers, and err towards seeing a statement begin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from ctemplate.render.faults import Fault
from ctemplate.render.formats import CLOSE, OPEN, QUOTED, without_marks


class Mode(Enum):
    """Where in the text the lexer is."""

    GAP = auto()  # between two words
    WORD = auto()
    DOUBLE = auto()  # in "…"
    SINGLE = auto()  # in '…'
    CLOSED = auto()  # right after a closing quote
    COMMENT = auto()


class State(NamedTuple):
    """The lexer's state between two characters."""

    mode: Mode = Mode.GAP
    first: bool = True
    """No word of the statement is complete."""
    directive: str = ""
    """The statement's first word, as far as it was read."""
    last: str = ""
    """A backslash that hides the next character, or a `$` that takes a `{`; else empty."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """What ends words and statements in one server's configuration."""

    ends: str
    """Characters that end a statement."""
    comments: str
    quotes: str
    anywhere: bool
    """Quotes and comments begin inside a word too."""
    lines: bool
    """A line break ends a statement."""
    authors: re.Pattern[str]
    """Directives whose words may only be the author's: they load code, run commands or read files."""


GRAMMARS = {
    "nginx": Grammar(
        ends=";{}",
        comments="#",
        quotes="\"'",
        anywhere=False,
        lines=False,
        authors=re.compile(r"include|load_module|ssl_engine|\w+_by_lua\w*|perl\w*|js_\w+"),
    ),
    "haproxy": Grammar(
        ends="",
        comments="#",
        quotes="\"'",
        anywhere=True,
        lines=True,
        authors=re.compile(r"lua-load\S*|lua-prepend-path|module-\S+|command|external-check|setenv|presetenv"),
    ),
    "keepalived": Grammar(
        ends="{}",
        comments="#!",
        quotes='"',
        anywhere=True,
        lines=True,
        authors=re.compile(r"@?include\w*|script|notify\w*|misc_path|\S*_script"),
    ),
}

_START = State()


class Misplaced(Exception):
    """A value stands where it may not."""


def _begin(grammar: Grammar, state: State, char: str) -> State:
    """Take a character that stands where a word may begin."""
    if char.isspace():
        return state._replace(mode=Mode.GAP, last="")
    if char in grammar.ends:
        return _START
    if char in grammar.comments:
        return state._replace(mode=Mode.COMMENT)
    if char in grammar.quotes:
        return state._replace(mode=Mode.DOUBLE if char == '"' else Mode.SINGLE, last="")
    if char == QUOTED:
        _allow(grammar, state)
        return state._replace(mode=Mode.WORD if grammar.anywhere else Mode.CLOSED, last="")
    return _inside(grammar, state._replace(mode=Mode.WORD, last=""), char)


def _allow(grammar: Grammar, state: State) -> None:
    if state.first:
        raise Misplaced("is the first word of a statement")
    if grammar.authors.fullmatch(state.directive):
        raise Misplaced(f"is given to `{state.directive}`, which only the author's own text may be")


def _gap(state: State) -> State:
    return State(Mode.GAP, False, state.directive)


def _grow(state: State, char: str, last: str = "") -> State:
    return State(state.mode, state.first, state.directive + char if state.first else state.directive, last)


def _inside(grammar: Grammar, state: State, char: str) -> State:
    """Take a character inside an unquoted word."""
    if char == OPEN:
        _allow(grammar, state)
        return state._replace(last="")
    if state.last == "\\":
        if char == QUOTED:
            raise Misplaced("is quoted after a backslash")
        return _grow(state, char)
    if char.isspace():
        return _gap(state)
    if char == QUOTED:
        if not grammar.anywhere:
            raise Misplaced("is quoted inside a word, where quotes are ordinary characters; quote the whole word")
        _allow(grammar, state)
        return state._replace(last="")
    if char in grammar.ends and not (char == "{" and state.last == "$") and (char != "}" or grammar.anywhere):
        return _START
    if grammar.anywhere and char in grammar.comments:
        return state._replace(mode=Mode.COMMENT)
    if grammar.anywhere and char in grammar.quotes:
        return state._replace(mode=Mode.DOUBLE if char == '"' else Mode.SINGLE, last="")
    return _grow(state, char, char if char in "\\$" else "")


def _quoted(grammar: Grammar, state: State, char: str) -> State:
    """Take a character inside quotes."""
    if char == OPEN:
        _allow(grammar, state)
        return state._replace(last="")
    if char == QUOTED:
        raise Misplaced("is quoted inside quotes; leave the outer ones out")
    if state.last == "\\":
        return _grow(state, char)
    if char == ('"' if state.mode is Mode.DOUBLE else "'"):
        return state._replace(mode=Mode.WORD if grammar.anywhere else Mode.CLOSED, last="")
    hides = char == "\\" and not (grammar.anywhere and state.mode is Mode.SINGLE)
    return _grow(state, char, "\\" if hides else "")


def _closed(grammar: Grammar, state: State, char: str) -> State:
    """Take a character right after a closing quote: whitespace or an end; else the server reads a new word."""
    if char == QUOTED:
        raise Misplaced("is quoted right after a quote")
    return _begin(grammar, _gap(state), char)


def step(grammar: Grammar, state: State, char: str) -> State:
    """Take one character; raises `Misplaced`."""
    if char == "\n" and grammar.lines:
        return _START
    if state.mode is Mode.GAP:
        return _begin(grammar, state, char)
    if state.mode is Mode.WORD:
        return _inside(grammar, state, char)
    if state.mode is Mode.COMMENT:
        return state._replace(mode=Mode.GAP) if char == "\n" else state
    if state.mode is Mode.CLOSED:
        return _closed(grammar, state, char)
    return _quoted(grammar, state, char)


def lex(grammar: Grammar, state: State, text: str) -> State:
    """Take a text; raises `Misplaced`."""
    for char in text:
        state = step(grammar, state, char)
    return state


_BARE = re.compile(f"{OPEN}[^{CLOSE}]*{CLOSE}")
_QUOTED = re.compile(f"{QUOTED}[^{CLOSE}]*{CLOSE}")


def verify(grammar: Grammar, marked: str) -> str:
    """Return a marked text without its marks; raises `Fault` where a value stands in a wrong place.

    Values become one mark each, so the lines that a loop prints are alike, and each is lexed once.
    """
    if CLOSE not in marked:
        return marked
    skeleton = _BARE.sub(OPEN, marked)
    if QUOTED in skeleton:
        skeleton = _QUOTED.sub(QUOTED, skeleton)
    known: dict[tuple[State, str], State] = {}
    state = _START
    for line in skeleton.splitlines(keepends=True):
        key = (state, line)
        after = known.get(key)
        if after is None:
            try:
                after = known[key] = lex(grammar, state, line)
            except Misplaced as verdict:
                shown = re.sub(f"[{OPEN}{QUOTED}]", "…", line.strip())
                raise Fault(f"a value {verdict}: `{shown[:160]}` (… stands for values)") from None
        state = after
    return without_marks(marked)
