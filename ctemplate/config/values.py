"""What one value of the configuration may be: each function turns a TOML value into the type that settings hold.

They know neither keys nor places: they raise `ConfigError("expected …")`, and whoever called them says
where. None of them repeats a value that may be a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ctemplate.changes import Command, OnFailure
from ctemplate.config.durations import parse_duration, parse_wait
from ctemplate.errors import ConfigError
from ctemplate.settings import FOREVER, FORMATS, LOG_FORMATS, LOG_LEVELS, VIOLATIONS, Wait

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
"""What Go's flags and Consul's environment variables take for a truth value."""

_LEVEL_ALIASES = {"trace": "debug", "warn": "warning", "err": "error"}
"""The names that consul-template gives its levels."""

_NO_ID = 2**32 - 1
"""The kernel's "leave it as it is", which is no user and no group; ids end below it."""

_OCTAL = re.compile(r"(?:0o?)?([0-7]{3})")
_TYPES = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "a list", dict: "a table"}


class Kind(msgspec.Struct, frozen=True):
    """A kind of value: how it is read, and what the documentation calls it."""

    parse: Callable[[object, Path], Any]
    """Takes the value and the directory that relative paths start from."""
    label: str


def truth(value: str) -> bool:
    """The truth value that `value` writes, as Go and Consul read it; `ConfigError` if it is none."""
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ConfigError(f'expected true or false, not "{value}"')


def type_name(value: object) -> str:
    """What TOML calls the type of `value`, with its article."""
    return _TYPES.get(type(value), "a date or time")


def _text(value: object, _base: Path) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"expected a string, not {type_name(value)}")
    return value


def _switch(value: object, _base: Path) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"expected true or false, not {type_name(value)}")
    return value


def _count(value: object, _base: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"expected an integer, not {type_name(value)}")
    if value < 1:
        raise ConfigError(f"expected an integer of 1 or more, not {value}")
    return value


def _number_of_instances(value: object, _base: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"expected an integer of 0 or more, not {_number(value)}")
    return value


def _share(value: object, _base: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"expected a share between 0 and 1, such as 0.5, not {_number(value)}")
    return float(value)


def _number(value: object) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else type_name(value)


def _hold(value: object, _base: Path) -> float:
    return FOREVER if value == "forever" else parse_duration(value)


def _guard(value: object, base: Path) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"expected a table of {', '.join(GUARD_PARTS)}, not {type_name(value)}")
    read: dict[str, Any] = {}
    for name, part in value.items():
        if name not in GUARD_PARTS:
            raise ConfigError(f"{name}: unknown key: expected one of {', '.join(GUARD_PARTS)}")
        try:
            read[name] = GUARD_PARTS[name].parse(part, base)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from None
    return read


def _duration(value: object, _base: Path) -> float:
    return parse_duration(value)


def _some_time(value: object, _base: Path) -> float:
    seconds = parse_duration(value)
    if seconds == 0:
        raise ConfigError("expected a duration above 0")
    return seconds


def _wait(value: object, _base: Path) -> Wait:
    return parse_wait(value)


def _path(value: object, base: Path) -> Path:
    text = _text(value, base)
    if not text or "\0" in text:
        raise ConfigError("expected a path, not an empty string" if not text else "expected a path without NUL")
    return base / text


def _directories(value: object, base: Path) -> tuple[Path, ...]:
    texts = value.split(":") if isinstance(value, str) else value
    if not isinstance(texts, list):
        raise ConfigError(f"expected a list of directories, not {type_name(value)}")
    paths = [_path(text, base) for text in texts]
    if "\n" in "".join(map(str, paths)):
        raise ConfigError("expected directories without a line break in their names")
    return tuple(Path(os.path.normpath(path)) for path in paths)


def _file(value: object, base: Path) -> Path:
    path = _path(value, base)
    if str(value).endswith("/"):
        raise ConfigError("expected a file, not a directory")
    return path


def _address(value: object, base: Path) -> str:
    text = _text(value, base).strip()
    scheme, separator, rest = text.partition("://")
    if separator and (scheme not in ("http", "https", "unix") or not rest):
        raise ConfigError(f'expected host:port, http://…, https://… or unix:///path, not "{scheme}://…"')
    if not text or text.startswith("/"):
        raise ConfigError("expected host:port, http://…, https://… or unix:///path")
    return text


def _command(value: object, _base: Path) -> Command:
    if isinstance(value, str):
        return Command(value if value.strip() else "")
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ConfigError(f"expected a string for the shell, or a list of strings, not {type_name(value)}")
    if not value or not value[0]:
        raise ConfigError("expected a list that begins with the name of a program")
    return Command(tuple(value))


def _mode(value: object, base: Path) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        raise ConfigError(f'expected permission bits as octal text in quotes such as "0640", not the number {value}')
    match = _OCTAL.fullmatch(_text(value, base))
    if match is None:
        raise ConfigError(f'expected three octal digits of permission bits such as "0640", not "{value}"')
    return int(match[1], 8)


def _owner(value: object, _base: Path) -> str | int:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _NO_ID:
        return value
    raise ConfigError("expected a name, or a number of 0 or more")


def _vars(value: object, _base: Path) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"expected a table of values, not {type_name(value)}")
    for name in value:
        if not name.isidentifier():
            raise ConfigError(f'expected names that a template can say (letters, digits, "_"), not "{name}"')
    return value


def one_of(choices: tuple[str, ...], aliases: Mapping[str, str] | None = None) -> Kind:
    """Return the kind of a value that is one of `choices`, or one of the other names that `aliases` give them."""

    def parse(value: object, base: Path) -> str:
        text = _text(value, base).lower()
        text = (aliases or {}).get(text, text)
        if text not in choices:
            raise ConfigError(f'expected one of {", ".join(choices)}, not "{value}"')
        return text

    return Kind(parse, "one of " + ", ".join(f'`"{choice}"`' for choice in choices))


def _on_failure(value: object, base: Path) -> OnFailure:
    return OnFailure(_ON_FAILURE.parse(value, base))


_ON_FAILURE = one_of(tuple(OnFailure))

TEXT = Kind(_text, "string")
SWITCH = Kind(_switch, "boolean")
COUNT = Kind(_count, "integer")
DURATION = Kind(_duration, "duration")
SOME_TIME = Kind(_some_time, "duration above 0")
WAIT = Kind(_wait, '`"MIN[:MAX]"`')
PATH = Kind(_path, "path")
DIRECTORIES = Kind(_directories, "list of paths")
FILE = Kind(_file, "path")
ADDRESS = Kind(_address, "address")
COMMAND = Kind(_command, "command")
MODE = Kind(_mode, 'octal string, `"0640"`')
OWNER = Kind(_owner, "name or number")
VARS = Kind(_vars, "table")
GUARD_PARTS = {
    "min_instances": Kind(_number_of_instances, "integer"),
    "max_removed": Kind(_share, "number"),
    "max_hold": Kind(_hold, 'duration or `"forever"`'),
    "on_violation": one_of(VIOLATIONS),
}
GUARD = Kind(_guard, "table")
FORMAT = one_of(FORMATS)
LOG_LEVEL = one_of(LOG_LEVELS, _LEVEL_ALIASES)
LOG_FORMAT = one_of(LOG_FORMATS)
ON_FAILURE = Kind(_on_failure, _ON_FAILURE.label)


def from_text(kind: Kind, text: str) -> object:
    """The TOML value that `text` of a flag or the environment stands for; `ConfigError` if there is none."""
    if kind is SWITCH:
        return truth(text)
    if kind is COUNT:
        if not re.fullmatch(r"-?[0-9]{1,9}", text):
            raise ConfigError(f'expected an integer, not "{text}"')
        return int(text)
    return text
