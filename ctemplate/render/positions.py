"""Where values may stand: never where a server looks for a directive, nor quoted where quotes mean nothing.

A value that passed its format's allow-list is one word, but `{{ host }} web;` makes it the *first* word,
and a host named `include` then reads a file. And a quoted value only stays one where quotes mean
something: `"{{ x|quote }}"` ends the author's quotes and lets the value out. So the finished text is
lexed with its values marked (`OPEN` for a bare value, `QUOTED` for a quoted or encoded one, one mark
each), and refused if a mark stands in the first word of a statement, after a directive that runs or
reads what it names, or (a quoted one) where a quote is an ordinary character. In shell, JSON and YAML
only the last is asked.

The lexers follow the servers' own tokenizers, and err towards seeing a statement begin.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

from ctemplate.render.faults import Fault
from ctemplate.render.formats import CLOSE, OPEN, QUOTED, without_marks
from ctemplate.render.grammars import Grammar


class Mode(Enum):
    """Where in the text the lexer is."""

    GAP = auto()  # between two words
    WORD = auto()
    DOUBLE = auto()  # in "…"
    SINGLE = auto()  # in '…'
    CLOSED = auto()  # right after a closing quote
    COMMENT = auto()
    HEREDOC = auto()  # after `<<` in a shell: what follows is not lexed, and no quote is believed any more


class State(NamedTuple):
    """The lexer's state between two characters."""

    mode: Mode = Mode.GAP
    first: bool = True
    """No word of the statement is complete."""
    directive: str = ""
    """The statement's first word, as far as it was read."""
    last: str = ""
    """A backslash that hides the next character, a `$` that takes a `{`, a `<`, or an opening quote; else empty."""


_START, _FREE = State(), State(first=False)


def start(grammar: Grammar) -> State:
    """Return the state where a statement begins."""
    return _START if grammar.first else _FREE


class Misplaced(Exception):
    """A value stands where it may not."""


def _begin(grammar: Grammar, state: State, char: str) -> State:
    """Take a character that stands where a word may begin."""
    if char in grammar.blanks:
        return state._replace(mode=Mode.GAP, last="")
    if char in grammar.ends:
        return start(grammar)
    if char in grammar.comments:
        return state._replace(mode=Mode.COMMENT)
    if char in grammar.quotes:
        return state._replace(mode=Mode.DOUBLE if char == '"' else Mode.SINGLE, last=char)
    if char in (OPEN, QUOTED):
        _allow(grammar, state, begins=True)
        quoted = char == QUOTED and not grammar.anywhere
        return state._replace(mode=Mode.CLOSED if quoted else Mode.WORD, last="")
    return _inside(grammar, state._replace(mode=Mode.WORD, last=""), char)


def _allow(grammar: Grammar, state: State, *, begins: bool = False) -> None:
    if state.first:
        raise Misplaced("is the first word of a statement")
    if grammar.authors.fullmatch(state.directive):
        raise Misplaced(f"is given to `{state.directive}`, which only the author's own text may be")
    if begins and grammar.begun.fullmatch(state.directive):
        raise Misplaced(f"begins what is given to `{state.directive}`, which only the author's own text may do")


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
    if char in grammar.blanks:
        return _gap(state)
    if char == QUOTED:
        if not grammar.anywhere:
            raise Misplaced("is quoted inside a word, where quotes are ordinary characters; quote the whole word")
        _allow(grammar, state)
        return state._replace(last="")
    if char in grammar.ends and not (char == "{" and state.last == "$") and (char != "}" or grammar.anywhere):
        return start(grammar)
    if grammar.tight and char in grammar.comments:
        return state._replace(mode=Mode.COMMENT)
    if grammar.anywhere and char in grammar.quotes:
        return state._replace(mode=Mode.DOUBLE if char == '"' else Mode.SINGLE, last="")
    return _grow(state, char, char if char in "\\$" else "")


def _quoted(grammar: Grammar, state: State, char: str) -> State:
    """Take a character inside quotes."""
    if char == OPEN:
        _allow(grammar, state, begins=state.last in ('"', "'"))
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
    if char in grammar.closed:
        return _gap(state)
    return _begin(grammar, _gap(state), char)


def _commented(grammar: Grammar, state: State, char: str) -> State:
    """Take a character inside a comment."""
    if char == QUOTED and grammar.breaks:
        raise Misplaced("is quoted in a comment, which ends at its first line break")
    return state._replace(mode=Mode.GAP) if char == "\n" else state


def _unread(state: State, char: str) -> State:
    """Take a character after `<<`; a third `<` makes it a here-string, whose words are lexed."""
    if char == QUOTED:
        raise Misplaced("is quoted after `<<`, where quotes mean nothing; put it into a variable before")
    if char == "<" and state.last == "<":
        return _gap(state)
    return state._replace(last="")


def step(grammar: Grammar, state: State, char: str) -> State:
    """Take one character; raises `Misplaced`."""
    mode = state.mode
    if char == "\n" and grammar.lines:
        return start(grammar)
    if char == "<" and grammar.heredocs and mode in (Mode.GAP, Mode.WORD) and state.last != "\\":
        return state._replace(mode=Mode.HEREDOC if state.last == "<" else Mode.GAP, last="<")
    if mode is Mode.GAP:
        return _begin(grammar, state, char)
    if mode is Mode.WORD:
        return _inside(grammar, state, char)
    if mode is Mode.COMMENT:
        return _commented(grammar, state, char)
    if mode is Mode.CLOSED:
        return _closed(grammar, state, char)
    if mode is Mode.HEREDOC:
        return _unread(state, char)
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
    if CLOSE in marked:
        skeleton = _BARE.sub(OPEN, marked)
        if QUOTED in skeleton:
            skeleton = _QUOTED.sub(QUOTED, skeleton)
        _lex_lines(grammar, skeleton)
        marked = without_marks(marked)
    if grammar.line_bytes and any(len(line.encode()) > grammar.line_bytes for line in marked.split("\n")):
        raise Fault(
            f"a line is longer than {grammar.line_bytes} bytes: the server would take its end for a line of its own"
        )
    return marked


def _lex_lines(grammar: Grammar, skeleton: str) -> None:
    known: dict[tuple[State, str], State] = {}
    state = start(grammar)
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
