"""What a printed value may contain in each output format, and how one is quoted there.

Whoever can register a service must not be able to write configuration. So a bare value must match an
allow-list under which it stays one unchanged word wherever a template may put it, and `|quote` is the
format's own quoting, which refuses what the format cannot quote. Where in the text a value stands is
`positions`' concern; how a check reaches every printed value is `markup`'s and `codegen`'s.
"""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from collections.abc import Callable
from pathlib import PurePath

import msgspec

from ctemplate.changes import Command
from ctemplate.errors import ConfigError
from ctemplate.render.faults import Fault, Refusal
from ctemplate.spelling import suggestion

OPEN, QUOTED, CLOSE = "\ue000", "\ue001", "\ue002"
"""Private-use characters that mark values while a text is being put together; none may come in."""

_MARKS = re.compile("[\ue000-\ue002]")


def has_marks(text: str) -> bool:
    """Whether a text contains one of the characters that only we may put there."""
    return _MARKS.search(text) is not None


def without_marks(text: str) -> str:
    """Return a text without the characters that mark values in it."""
    text = text.replace(OPEN, "").replace(CLOSE, "")
    return text.replace(QUOTED, "") if QUOTED in text else text


def character_class(char: str) -> str:
    """Say what kind of character this is without printing it."""
    if "\ue000" <= char <= "\ue002":
        return "a reserved character (U+E000–U+E002)"
    if char.isascii() and char.isprintable():
        return "a space" if char == " " else "a letter or digit" if char.isalnum() else "punctuation"
    if char == "\x00":
        return "a NUL byte"
    if char in "\r\n":
        return "a line break"
    if unicodedata.category(char) == "Cs":
        return "a lone surrogate"
    return "a control character" if not char.isprintable() else "a non-ASCII character"


class Format(msgspec.Struct, frozen=True):
    """One output format: the allow-list of bare values, the quoting, and the grammar that gives words a place."""

    name: str
    bare: re.Pattern[str]
    """Matched against a whole value (`fullmatch`)."""
    char: re.Pattern[str]
    """One character that a bare value may contain anywhere; only to say which one is bad."""
    quote: Callable[[str], str]
    """Returns the value as one quoted word; raises `Refusal`."""
    empty: bool
    """Whether an empty value may be printed bare."""
    quoted: re.Pattern[str] | None = None
    """What `quote` makes, also several in a row; matched again where such text may have been cut."""
    json: bool = False
    """JSON is part of this format, so `|to_json` is trusted in it."""
    yaml: bool = False
    checked: bool = True

    @property
    def positions(self) -> str:
        """The grammar in `positions` that the rendered text is held against; empty for plain text."""
        return self.name if self.checked else ""

    def reason(self, value: str) -> str:
        """Why the format refuses this value: its length and the class of its first bad character, never the value."""
        if not value:
            return f"{self.name} refuses an empty value; give it a default or leave the word out"
        for index, char in enumerate(value, 1):
            if not self.char.match(char):
                return f"{self.name} refuses {character_class(char)} (character {index} of {len(value)})"
        return f"{self.name} refuses this beginning, end or length (a string of {len(value)} characters)"

    def check(self, value: str) -> str:
        """Return the value if the format takes it bare; raises `Refusal`."""
        if self.bare.fullmatch(value):
            return value
        raise Refusal(self.reason(value), value)


def _refuse_in_quotes(name: str, value: str, bad: re.Pattern[str], limit_bytes: int) -> None:
    found = bad.search(value)
    if found is not None:
        kind = character_class(found.group())
        raise Refusal(f"{name} cannot quote {kind} (character {found.start() + 1} of {len(value)})", value)
    if len(value.encode()) > limit_bytes:
        raise Refusal(f"{name} takes no quoted word of more than {limit_bytes} bytes", value)


# nginx has no escape for `$`, quoted or not; a token may have 4,095 bytes, and a backslash doubles one.
_NGINX_BAD = re.compile("[\x00-\x1f\x7f$\ud800-\udfff\ue000-\ue002]")
_HAPROXY_BAD = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ue000-\ue002]")
_KEEPALIVED_BAD = re.compile(r"[^A-Za-z0-9_.:/%+=,() -]")
_TEXT_BAD = re.compile("[\x00\ud800-\udfff\ue000-\ue002]")
# Not printable in YAML, or a line break there: escaped although JSON would take them as they are.
_JSON_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff\ue000-\ue002]")


def quote_nginx(value: str) -> str:
    """Quote for nginx: one double-quoted argument."""
    _refuse_in_quotes("nginx", value, _NGINX_BAD, 2000)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def quote_haproxy(value: str) -> str:
    r"""Quote for HAProxy: single quotes, in which nothing is special; `'` and line breaks stand between two pairs."""
    _refuse_in_quotes("haproxy", value, _HAPROXY_BAD, 1000)
    return "'" + value.replace("'", "'\\''").replace("\n", "'\\n'").replace("\r", "'\\r'") + "'"


def quote_keepalived(value: str) -> str:
    """Quote for keepalived, which has no escape: only a value that cannot end the quotes or a line."""
    _refuse_in_quotes("keepalived", value, _KEEPALIVED_BAD, 255)
    return f'"{value}"'


def encode_json(value: object, *, indent: int | None = None) -> str:
    """Encode plain data as JSON that is YAML as well."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    return _JSON_ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def quote_shell(value: str) -> str:
    """Quote for a POSIX shell, as one word; not to be put between quotes again."""
    _refuse_in_quotes("shell", value, _TEXT_BAD, 65536)
    return shlex.quote(value)


def quote_text(value: str) -> str:
    """Refuse: plain text has no quoting."""
    raise Fault("the format text has no quoting; set `format`, or use |to_json")


def _characters(chars: str) -> re.Pattern[str]:
    return re.compile(f"[{chars}]")


# The allow-list of nginx stayed one unchanged token in five contexts over 21,840 combinations. Those of
# HAProxy and keepalived cannot start an option, a comment, an expansion or a block.
_NGINX = r"A-Za-z0-9_./:@%+,=\[\]-"
_HAPROXY = r"A-Za-z0-9_./:@+,=\[\]"
_KEEPALIVED = r"A-Za-z0-9_.:/%+=-"
# Inside the author's quotes nothing ends the string; outside them nothing starts one or a further element.
_JSON = r"\w ./:@%+=~-"
_YAML = r"A-Za-z0-9_./:@%+=~ -"
# A plain scalar: no indicator first, no `...`, and each colon or space is followed by a further word. A key of more
# than 1,024 characters is none (YAML 1.2, 7.4).
_YAML_BARE = r"(?!\.\.\.)(?:[A-Za-z0-9_./](?:[A-Za-z0-9_./@%+=~-]|:(?=[A-Za-z0-9_./])| (?=[A-Za-z0-9_./])){0,999})?"
_SHELL = r"A-Za-z0-9_./:@%+,="

FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format(
            "nginx",
            re.compile(f"[{_NGINX}]{{1,1024}}"),
            _characters(_NGINX),
            quote_nginx,
            False,
            re.compile(r'"(?:[^"\\$\x00-\x1f\x7f]|\\["\\])*"'),
        ),
        Format(
            "haproxy",
            re.compile(f"[{_HAPROXY}][{_HAPROXY}-]{{0,1023}}"),
            _characters(_HAPROXY + "-"),
            quote_haproxy,
            False,
            re.compile(r"(?:'[^'\r\n]*'(?:\\['nr]'[^'\r\n]*')*)+"),
        ),
        Format(
            "keepalived",
            re.compile(f"[A-Za-z0-9][{_KEEPALIVED}]{{0,255}}"),
            _characters(_KEEPALIVED),
            quote_keepalived,
            False,
            re.compile(r'"[^"\r\n]*"'),
        ),
        Format("json", re.compile(f"[{_JSON}]{{0,65536}}"), _characters(_JSON), encode_json, True, json=True),
        Format("yaml", re.compile(_YAML_BARE), _characters(_YAML), encode_json, True, json=True, yaml=True),
        Format(
            "shell",
            re.compile(f"(?:[{_SHELL}][{_SHELL}-]{{0,4095}})?"),
            _characters(_SHELL + "-"),
            quote_shell,
            True,
            re.compile(r"""(?:[\w@%+=:,./-]|'[^']*'|"'")+""", re.ASCII),
        ),
        Format(
            "text",
            re.compile("[^\x00\ud800-\udfff\ue000-\ue002]*"),
            re.compile("[^\x00\ud800-\udfff\ue000-\ue002]"),
            quote_text,
            True,
            checked=False,
        ),
    )
}

_SUFFIXES = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".sh": "shell", ".env": "shell"}
_SERVERS = ("nginx", "haproxy", "keepalived")


def infer(destination: PurePath, command: Command | None) -> str:
    """Guess a format's name: by the file's suffix, then by a server's name in its path or in the command."""
    by_suffix = _SUFFIXES.get(destination.suffix.lower())
    if by_suffix is not None:
        return by_suffix
    path = str(destination).lower()
    for server in _SERVERS:
        if server in path:
            return server
    line = str(command).lower() if command is not None else ""
    for server in _SERVERS:
        if re.search(rf"\b{server}\b", line):
            return server
    return "text"


def format_of(name: str, destination: PurePath, command: Command | None) -> Format:
    """Return the format that is set, else the inferred one; raises `ConfigError` for an unknown name."""
    chosen = FORMATS.get(name or infer(destination, command))
    if chosen is None:
        known = ", ".join(FORMATS)
        raise ConfigError(f"template {destination}: unknown format {name!r}{suggestion(name, FORMATS)}; known: {known}")
    return chosen
