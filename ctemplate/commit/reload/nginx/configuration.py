"""What an instance of nginx says of itself: its pid file, its error logs, how many workers it will have.

Read from the main context of the configuration (nginx's own grammar, includes followed, blocks skipped)
and from what was compiled in (`nginx -V`). `nginx -T` would tell the same, but loads everything once
more: a second for 10,000 upstreams. Judges nothing; whether the configuration is good is `nginx -t`'s.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ctemplate.changes import Command
from ctemplate.commit.command import run
from ctemplate.commit.reload.nginx.options import Options

_TOKEN = re.compile(
    r"""
    \s+ | \#[^\n]*
    | (?P<mark>[;{}])
    | "(?P<double>(?:[^"\\]|\\.)*)" | '(?P<single>(?:[^'\\]|\\.)*)'
    | (?P<bare>(?:\$\{|\\.|[^\s;{\\])+)
    """,
    re.VERBOSE | re.DOTALL,
)
_WANTED = frozenset(("pid", "error_log", "worker_processes", "master_process", "include"))
_INCLUDE_DEPTH = 8
"""Of includes within includes; nginx itself ends at its limit of open files."""
_NO_FILE = ("syslog:", "memory:")
_VERSION_SECONDS = 10.0


class Built(msgspec.Struct, frozen=True):
    """The defaults that were compiled into a binary."""

    prefix: str = "/usr/local/nginx"
    conf_path: str = "conf/nginx.conf"
    pid_path: str = "logs/nginx.pid"
    error_log_path: str = "logs/error.log"


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What the files say now."""

    conf: Path
    pid_file: Path
    error_logs: tuple[Path, ...]
    """Those that are files, and `STDERR`."""
    workers: int | None
    """How many a new generation has; None where the files cannot be read."""
    master: bool
    """False for `master_process off`."""


STDERR = Path("stderr")


def built(binary: str) -> Built | None:
    """Ask a binary for its compiled defaults; None if it does not answer."""
    result = run(Command(line=(binary, "-V"), timeout=_VERSION_SECONDS))
    if result.code != 0:
        return None
    found: dict[str, str] = {}
    for line in result.output.splitlines():
        mark, _, arguments = line.partition("configure arguments:")
        if mark or not arguments:
            continue
        for word in shlex.split(arguments):
            name, _, value = word.partition("=")
            found[name] = value
    names = {field: "--" + field.replace("_", "-") for field in Built.__struct_fields__}
    return Built(**{field: found[name] for field, name in names.items() if name in found})


def read(options: Options, defaults: Built) -> Configuration:
    """Read what the instance's files say at this moment; what they do not say is nginx's default."""
    prefix = Path(options.value("p") or defaults.prefix).absolute()
    conf = prefix / (options.value("c") or defaults.conf_path)
    said: list[list[str]] = [*_statements(options.value("g") + ";")]
    known = True
    try:
        said += _main_context(conf, depth=0)
    except OSError:
        known = False
    values: Mapping[str, list[str]] = {words[0]: words for words in said if len(words) > 1}
    pid = values.get("pid", ["", defaults.pid_path])[1]
    logs = [words[1] for words in said if words[0] == "error_log" and len(words) > 1]
    if not logs and known:
        logs = [options.value("e") or defaults.error_log_path]
    return Configuration(
        conf=conf,
        pid_file=prefix / pid,
        error_logs=tuple(_log(prefix, name) for name in logs if name and not name.startswith(_NO_FILE)),
        workers=_count(values.get("worker_processes", ["", "1"])[1]) if known or "worker_processes" in values else None,
        master=values.get("master_process", ["", "on"])[1] != "off",
    )


def _log(prefix: Path, name: str) -> Path:
    return STDERR if name == "stderr" else prefix / name


def _count(text: str) -> int | None:
    if text == "auto":
        return os.cpu_count()
    return int(text) if text.isdecimal() else None


def _main_context(path: Path, *, depth: int, directory: Path | None = None) -> Iterator[list[str]]:
    """Yield the statements of the main context that matter here, those of included files in their place."""
    directory = directory or path.parent
    for words in _statements(path.read_text(errors="replace")):
        if words[0] != "include":
            yield words
        elif len(words) == 2 and depth < _INCLUDE_DEPTH:
            pattern = words[1].removeprefix("/")
            root = Path("/") if words[1].startswith("/") else directory
            for included in sorted(root.glob(pattern)):
                yield from _main_context(included, depth=depth + 1, directory=directory)


def _statements(text: str) -> Iterator[list[str]]:
    """Yield the wanted statements outside every block, as words."""
    words: list[str] = []
    depth = 0
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "mark":
            if token["mark"] == ";" and depth == 0 and words and words[0] in _WANTED:
                yield words
            depth += {"{": 1, "}": -1, ";": 0}[token["mark"]]
            words = []
        elif kind is not None and depth == 0:
            words.append(re.sub(r"\\([\"'\\ ])", r"\1", token[kind]))
