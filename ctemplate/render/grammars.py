"""How each output format is put together of words, as tables for the lexer of `positions`.

They say what ends a word and a statement, where quotes mean something, and which directives the servers
act on by running or reading what they name, some of them (`nginx -t`) already while they are tested.
"""

from __future__ import annotations

import re

import msgspec

_NEVER = re.compile(r"(?!)")


class Grammar(msgspec.Struct, frozen=True):
    """What ends words and statements in one output format."""

    quotes: str
    anywhere: bool
    """Quotes begin inside a word too."""
    blanks: str
    """Characters between two words."""
    ends: str = ""
    """Characters that end a statement."""
    comments: str = ""
    tight: bool = False
    """Comments begin inside a word too."""
    lines: bool = False
    """A line break ends a statement."""
    line_bytes: int = 0
    """The longest line that the server reads in one piece; 0: any."""
    first: bool = True
    """The first word of a statement may only be the author's."""
    authors: re.Pattern[str] = _NEVER
    """Directives whose words may only be the author's: they load code, run commands or read files."""
    begun: re.Pattern[str] = _NEVER
    """Directives whose words only the author may begin: a prefix (`engine:`) turns a file's name into code."""
    breaks: bool = False
    """A quoted value may hold line breaks, and so may not stand in a comment."""
    closed: str = ""
    """What ends a word right after a closing quote, beside blanks and ends."""
    heredocs: bool = False


_SPACE = " \t\n\r"
_C_SPACE = " \t\n\v\f\r"  # isspace(3)

GRAMMARS = {
    "nginx": Grammar(
        quotes="\"'",
        anywhere=False,
        blanks=_SPACE,
        ends=";{}",
        comments="#",
        authors=re.compile(
            r"include|load_module|ssl_engine|\w+_by_lua\w*|lua_package_\w+|perl\w*|js_\w+|env|modsecurity_rules\w*"
        ),
        begun=re.compile(r"\w*ssl_certificate(?:_key)?"),
    ),
    "haproxy": Grammar(
        quotes="\"'",
        anywhere=True,
        blanks=_C_SPACE,
        comments="#",
        tight=True,
        lines=True,
        authors=re.compile(
            r"lua-load\S*|lua-prepend-path|module-\S+|ssl-engine|ssl-provider\S*|command|external-check|setenv|presetenv"
        ),
    ),
    "keepalived": Grammar(
        quotes='"',
        anywhere=True,
        blanks=_C_SPACE,
        ends="{}",
        comments="#!",
        tight=True,
        lines=True,
        line_bytes=1000,  # keepalived 2.2.7 takes the end of a longer line for a line of its own
        authors=re.compile(r"@?include\w*|script|notify\w*|misc_path|quorum_(?:up|down)|\S*_script"),
    ),
    "shell": Grammar(
        quotes="\"'",
        anywhere=True,
        blanks=_SPACE + ";&|()>",
        comments="#",
        first=False,
        breaks=True,
        heredocs=True,
    ),
    "json": Grammar(quotes='"', anywhere=True, blanks=_SPACE, first=False, breaks=True),
    "yaml": Grammar(
        quotes="\"'",
        anywhere=False,
        blanks=_SPACE + "[]{},",
        comments="#",
        lines=True,
        first=False,
        breaks=True,
        closed=":",
    ),
}
