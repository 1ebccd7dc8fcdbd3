"""How reload commands are written: reads a command without running it, for every server alike.

Only what is certain is recognised: plain words, `sudo` before them, a service manager's reload, a
signal to a pid file. Anything that only a shell can tell (operators, variables, globs) is not read at
all, because a check that is inferred from a misread command is worse than none.
"""

from __future__ import annotations

import re
import shlex
from pathlib import PurePath

from ctemplate.changes import Command

Words = tuple[str, ...]

_SHELL_ONLY = frozenset("$`~*?[]\\\n#!")
"""Characters that a shell may read as more than text; quoted ones are given up too, for certainty."""
_OPERATORS = frozenset("();<>|&")
_SUDO_ALONE = frozenset(("-n", "--non-interactive", "-E", "--preserve-env", "-H", "--set-home", "-k", "--"))
_SUDO_VALUE = frozenset(("-u", "--user", "-g", "--group"))
_SIGNAL = re.compile(
    r"""
    (?P<sudo>(?:\S*/)?sudo\s+(?:-n\s+)?)?
    (?:/usr)?(?:/bin/)?kill\s+
    (?:-s\s*|--signal[\s=]|-)(?:SIG)?(?P<signal>HUP|USR2|1|12)\s+
    (?P<quote>"?)
    (?:\$\(\s*(?:cat\s+|<\s*)(?P<dollar>[\w./@:+-]+)\s*\)|`\s*cat\s+(?P<backtick>[\w./@:+-]+)\s*`)
    (?P=quote)
    """,
    re.VERBOSE,
)
_NUMBERS = {"1": "HUP", "12": "USR2"}


def plain_words(command: Command) -> Words | None:
    """Return a command's words, or None where only a shell could tell what they are."""
    if not isinstance(command.line, str):
        return command.line
    if _SHELL_ONLY & set(command.line):
        return None
    lexer = shlex.shlex(command.line.strip(), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = tuple(lexer)
    except ValueError:
        return None  # an open quote: the shell's own message says it best
    # A quoted operator alone looks the same as a real one and is given up as well.
    return None if any(word and _OPERATORS.issuperset(word) for word in words) else words


def split_sudo(words: Words) -> tuple[Words, Words]:
    """Return `sudo` with its options, if a command begins so, and the command itself."""
    if not words or PurePath(words[0]).name != "sudo":
        return (), words
    at = 1
    while at < len(words) and words[at].startswith("-"):
        option = words[at]
        if option in _SUDO_VALUE:
            at += 2
        elif option in _SUDO_ALONE or option.startswith(("--user=", "--group=")):
            at += 1
        else:
            return (), words  # an option with a meaning of its own: not a command that we know
    return words[:at], words[at:]


def service_reloaded(words: Words) -> str:
    """Return the service that a service manager is told to reload (`nginx`), or an empty text."""
    match words:
        case (manager, "reload", unit) if PurePath(manager).name == "systemctl":
            return unit.removesuffix(".service")
        case (manager, service, "reload") if PurePath(manager).name in ("service", "rc-service", "invoke-rc.d"):
            return service
        case (script, "reload") if PurePath(script).parent == PurePath("/etc/init.d"):
            return PurePath(script).name
    return ""


def signalled(command: Command) -> tuple[Words, str, str] | None:
    """Read `kill -HUP $(cat FILE)` and its spellings: sudo, the signal's name and the pid file."""
    if not isinstance(command.line, str):
        return None
    found = _SIGNAL.fullmatch(command.line.strip())
    if found is None:
        return None
    name = _NUMBERS.get(found["signal"], found["signal"])
    return tuple((found["sudo"] or "").split()), name, found["dollar"] or found["backtick"]
