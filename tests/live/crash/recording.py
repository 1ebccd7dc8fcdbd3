"""What a process and its threads do to the files below one directory, as strace saw it.

Of the processes that it starts only their first words are noted. Calls that failed changed nothing and are
no operations.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MARK = "/crash-mark"
"""`readlink(MARK/…)` from the recorded process: a word for the recording, and nothing to the system."""
_CALLS = (
    "?open openat close write pwrite64 fsync fdatasync ftruncate execve ?readlink readlinkat "
    "?rename renameat ?renameat2 ?link linkat ?unlink unlinkat ?rmdir ?mkdir mkdirat clone ?clone3"
)
_THREAD = re.compile(r"(?:clone3?\(.*CLONE_THREAD.*|<\.\.\. clone3? resumed>.*)= (\d+)")
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\d+)(?P<more>.*)", re.DOTALL)
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True, slots=True)
class Open:
    """A file was opened for writing; perhaps created, perhaps emptied."""

    path: str
    create: bool
    truncate: bool


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes were appended."""

    path: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Sync:
    """A file or a directory was synced, by the line of code that `site` names (`sites`)."""

    path: str
    site: str = ""


@dataclass(frozen=True, slots=True)
class Rename:
    """A name took another one's place."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Link:
    """A file got a second name."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Remove:
    """A name is gone: of a file, or of an empty directory."""

    path: str


@dataclass(frozen=True, slots=True)
class MakeDirectory:
    """A directory was made."""

    path: str


@dataclass(frozen=True, slots=True)
class Ran:
    """A command was started; it may have done its work or not when the next operation comes."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """The recorded process said a word (`MARK`)."""

    word: str


Operation = Open | Write | Sync | Rename | Link | Remove | MakeDirectory | Ran | Said


def strace(log: Path, *, binary: str = "strace") -> list[str]:
    """Return the words to put before a command so that it is recorded in `log`."""
    calls = ",".join(_CALLS.split())
    return [binary, "-f", "--seccomp-bpf", "-qq", "-xx", "-s", "1000000", "-e", f"trace={calls}", "-o", str(log)]


def record(
    command: Sequence[str], *, log: Path, below: Path, ignored: Sequence[str], binary: str, env: dict[str, str]
) -> list[Operation]:
    """Run a command to its end, which must be a good one, and return what it did below a directory (`operations`)."""
    words = [*strace(log, binary=binary), *command]
    done = subprocess.run(words, env=env, cwd=below.parent, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    return list(operations(log, below=below, ignored=ignored))


def operations(log: Path, *, below: Path, ignored: Sequence[str]) -> Iterator[Operation]:
    """Yield what a recording holds on the files below a directory, in order, save those that begin with `ignored`."""
    return _Reader(str(below), tuple(f"{below}/{prefix}" for prefix in ignored)).read(log)


def _whole_calls(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield each thread's calls when they returned: strace cuts in two what another thread interrupts."""
    begun: dict[int, str] = {}
    for line in lines:
        thread, _, text = line.rstrip("\n").partition(" ")
        text = text.lstrip()
        if text.endswith("<unfinished ...>"):
            begun[int(thread)] = text.removesuffix("<unfinished ...>")
        elif text.startswith("<... "):
            yield int(thread), begun.pop(int(thread), "") + text.partition(" resumed>")[2]
        else:
            yield int(thread), text


class _Reader:
    """Follows descriptors to paths, and sites to the syncs that they announce."""

    def __init__(self, below: str, ignored: tuple[str, ...]) -> None:
        self._below = below
        self._ignored = ignored
        self._open: dict[int, str] = {}
        self._sites: dict[int, str] = {}

    def read(self, log: Path) -> Iterator[Operation]:
        lines = log.read_text().splitlines()
        first = int(lines[0].partition(" ")[0])
        threads = {first} | {int(found[1]) for line in lines if (found := _THREAD.search(line))}
        for thread, text in _whole_calls(lines):
            call = _CALL.match(text)
            if call is None:
                continue
            if call["name"] == "execve":
                if thread not in threads and call["result"] == "0":
                    yield Ran(tuple(_strings(call["arguments"].partition("[")[2].rpartition("]")[0])))
            elif thread in threads:
                yield from self._call(thread, call["name"], call["arguments"], int(call["result"]))

    def _call(self, thread: int, name: str, arguments: str, result: int) -> Iterator[Operation]:
        if name.startswith("readlink"):
            word = _strings(arguments)[0]
            if word.startswith(f"{MARK}/site/"):
                self._sites[thread] = word.removeprefix(f"{MARK}/site/")
            elif word.startswith(f"{MARK}/"):
                yield Said(word.removeprefix(f"{MARK}/"))
        elif result >= 0:
            operation = self._operation(thread, name, arguments, result)
            if operation is not None:
                yield operation

    def _operation(  # noqa: C901 - one case a call
        self, thread: int, name: str, arguments: str, result: int
    ) -> Operation | None:
        first = arguments.split(",")[0]
        match name:
            case "open" | "openat":
                (path,) = self._paths(name, arguments)
                self._open[result] = path
                if self._is_ours(path) and ("O_WRONLY" in arguments or "O_RDWR" in arguments):
                    return Open(path, create="O_CREAT" in arguments, truncate="O_TRUNC" in arguments)
            case "close":
                self._open.pop(int(first), None)
            case "write" | "pwrite64":
                path = self._open.get(int(first), "")
                if self._is_ours(path):
                    (text,) = _STRING.findall(arguments)
                    return Write(path, bytes.fromhex(text.replace("\\x", ""))[:result])
            case "fsync" | "fdatasync":
                path = self._open.get(int(first), "")
                if self._is_ours(path):
                    return Sync(path, self._sites.pop(thread, ""))
            case "ftruncate":
                assert not self._is_ours(self._open.get(int(first), "")), "the model knows no truncation"
            case "clone" | "clone3":
                return None
            case _:
                paths = self._paths(name, arguments)
                if self._is_ours(paths[-1]):
                    return _change(name, paths)
        return None

    def _paths(self, name: str, arguments: str) -> list[str]:
        """Return the paths of a call, those that are relative to a descriptor made whole."""
        directories = re.findall(r"(\d+|AT_FDCWD), \"", arguments) if "at" in name else []
        texts = _strings(arguments)
        for place, directory in enumerate(directories):
            if directory != "AT_FDCWD" and not texts[place].startswith("/"):
                texts[place] = f"{self._open.get(int(directory), '?')}/{texts[place]}"
        return texts

    def _is_ours(self, path: str) -> bool:
        return (path == self._below or path.startswith(self._below + "/")) and not path.startswith(self._ignored)


def _change(name: str, paths: Sequence[str]) -> Operation:
    if name.startswith("rename"):
        return Rename(paths[0], paths[1])
    if name.startswith("link"):
        return Link(paths[0], paths[1])
    if name.startswith("mkdir"):
        return MakeDirectory(paths[0])
    return Remove(paths[0])


def _strings(text: str) -> list[str]:
    return [os.fsdecode(bytes.fromhex(found.replace("\\x", ""))) for found in _STRING.findall(text)]
