"""Configuration files on disk: which ones a `-config` means, and their text as tables that know their lines.

What the tables may hold is `tables`' business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ctemplate.config.locate import KeyPath, index_lines, line_of
from ctemplate.config.problems import Problems
from ctemplate.errors import ConfigError

_HCL = re.compile(r"^\s*(?:template|consul|vault|nomad|exec|wait|syslog|deduplicate|log_file)\s*\{", re.MULTILINE)
_BARE_MODE = re.compile(r"\s*mode\s*=\s*0[0-7]+")
_TOML_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")


class Document(msgspec.Struct, frozen=True):
    """One file that was read."""

    path: Path
    """As it was given, for messages."""
    base: Path
    """The absolute directory it stands in; relative paths in it start here."""
    data: Mapping[str, Any]
    lines: Mapping[KeyPath, int]

    def place(self, path: KeyPath) -> str:
        """`FILE:LINE: TABLE: KEY` as messages name it."""
        return self._at(path, _header(path[:-1]), str(path[-1]))

    def table_place(self, path: KeyPath) -> str:
        """`FILE:LINE: TABLE` as messages name it."""
        return self._at(path, _header(path))

    def _at(self, path: KeyPath, *names: str) -> str:
        line = line_of(self.lines, path)
        return ": ".join([f"{self.path}:{line}" if line else str(self.path), *filter(None, names)])


def read_documents(names: Iterable[str], *, cwd: Path, problems: Problems) -> list[Document]:
    """The files that `names` mean, in order: a directory stands for its `*.toml` in lexical order."""
    documents = []
    for name in names:
        try:
            paths = _files(name, cwd)
        except ConfigError as error:
            problems.add(f"-config {name}", str(error))
            continue
        for path in paths:
            try:
                documents.append(_read(path, cwd))
            except ConfigError as error:
                problems.lines.append(str(error))
    return documents


def _header(path: KeyPath) -> str:
    """A table as a reader of the file finds it: `[reload_group.lb]`, or `[[template]] 2` with its position."""
    if len(path) == 2 and isinstance(path[1], int):
        return f"[[{path[0]}]] {path[1] + 1}"
    return f"[{'.'.join(map(str, path))}]" if path else ""


def _files(name: str, cwd: Path) -> list[Path]:
    if not name or "\0" in name:  # an empty one, from a variable that is not set, would be the working directory
        raise ConfigError("expected a file or a directory")
    path = Path(name)
    absolute = cwd / path
    try:
        if not absolute.is_dir():
            return [path]
        names = sorted(entry.name for entry in absolute.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}") from error
    found = [path / name for name in names if name.endswith(".toml")]
    if not found:
        habit = "; ctemplate does not read HCL" if any(name.endswith(".hcl") for name in names) else ""
        raise ConfigError(f"the directory holds no *.toml file{habit}")
    return found


def _read(path: Path, cwd: Path) -> Document:
    import tomllib  # lazily: flags need none of it

    absolute = cwd / path
    try:
        text = absolute.read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}): TOML is UTF-8") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax_error(path, text, str(error))) from None
    except RecursionError:
        raise ConfigError(f"{path}: not valid TOML: nested too deeply") from None
    return Document(path, absolute.parent, data, index_lines(text))


def _syntax_error(path: Path, text: str, message: str) -> str:
    if path.suffix == ".hcl" or _HCL.search(text):
        return f"{path}: this is a consul-template configuration (HCL); ctemplate reads TOML: docs/configuration.md"
    if path.suffix == ".json" or text.lstrip().startswith("{"):
        return f"{path}: this is JSON; ctemplate reads TOML: docs/configuration.md"
    place = _TOML_PLACE.search(message)
    if place is None:
        return f"{path}: not valid TOML: {message}"
    where = f"{path}:{place[1]}:{place[2]}"
    if _BARE_MODE.match(text.split("\n")[int(place[1]) - 1]):
        return f'{where}: mode: expected octal text in quotes, such as "0640"'
    return f"{where}: not valid TOML: {_TOML_PLACE.sub('', message)}"
