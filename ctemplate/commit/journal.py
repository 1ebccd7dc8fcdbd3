"""The journal: what to finish or undo if we die half way, and the only record that a reload is pending.

One file a group in one directory: a header with the format's version and a checksum of the rest, then
JSON. It holds hashes, names and commands, never content. Written aside, synced, renamed and its
directory synced, so a crash leaves the whole journal or none; what is damaged nevertheless, or of
another version, is never guessed at: it is set aside for a person. Decides nothing.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ctemplate.changes import Command
from ctemplate.commit.files import Entry, sync
from ctemplate.state import make_directory

VERSION = 1
_MAGIC = "ctemplate-journal"
_SUFFIX = ".journal"
_PASSING = ".passing"
_ASIDE = ".set-aside"


class Phase(enum.StrEnum):
    """What a journal that is found asks for."""

    SWAP = "swap"  # files are being put in place and are not proved: finish or undo
    PENDING = "pending"  # files are in place and stay; only commands are to be run again
    UNDO = "undo"  # forward was tried and failed, and so did putting things back: undo


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """One unfinished transaction of one group."""

    group: str
    phase: Phase
    entries: tuple[Entry, ...] = ()
    """The files to finish or undo; none in `PENDING`."""
    waiting: tuple[Entry, ...] = ()
    """Files that are in place and stay, and of which a command is still to be run."""
    checks: tuple[Command, ...] = ()
    commands: tuple[Command, ...] = ()
    """In their order; in `PENDING` only those that are still to be run."""
    directories: tuple[str, ...] = ()
    """What was created for the new files, the outermost first."""
    check_seconds: float = 0.0
    """How long the check took: a proof's deadline follows from it."""
    sensitive: bool = False
    """What commands say is not to be repeated."""


class DamagedJournal(Exception):
    """A journal that cannot be read for what it was written as. Says why."""


class Journals:
    """The directory of journals."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._paths: dict[str, Path] = {}

    def path(self, group: str) -> Path:
        """Where this group's journal is, if it has one."""
        if group not in self._paths:
            name = hashlib.sha256(os.fsencode(group)).hexdigest()[:16] + _SUFFIX
            self._paths[group] = self.directory / name
        return self._paths[group]

    def prepare(self) -> None:
        """Make the directory."""
        make_directory(self.directory)

    def write(self, journal: Journal) -> None:
        """Put this journal in place of the group's, durably. Raises `OSError`; it may be there nevertheless."""
        try:
            body = msgspec.json.encode(journal)
        except UnicodeEncodeError as error:
            raise OSError(errno.EILSEQ, "a command or a name in it is not UTF-8") from error
        head = f"{_MAGIC} {VERSION} {hashlib.sha256(body).hexdigest()}\n"
        path = self.path(journal.group)
        passing = path.with_suffix(_PASSING)
        try:
            descriptor = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(head.encode() + body)
                file.flush()
                os.fsync(file)
            passing.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                passing.unlink(missing_ok=True)
            raise
        sync([self.directory])

    def drop(self, group: str) -> None:
        """Forget this group's journal, durably: the commit point."""
        self.path(group).unlink(missing_ok=True)
        sync([self.directory])

    def settle(self) -> None:
        """Make the journals that are seen those that a crash leaves: a process may have been killed while dropping one.

        Without it a journal may come back after the old files that it speaks of are gone.
        """
        if self.directory.is_dir():
            sync([self.directory])

    def paths(self) -> list[Path]:
        """Return where there are journals, sorted; half-written ones, which never counted, are removed."""
        for passing in self.directory.glob(f"*{_PASSING}"):
            with contextlib.suppress(OSError):
                passing.unlink(missing_ok=True)
        return sorted(self.directory.glob(f"*{_SUFFIX}"))

    def load(self, path: Path) -> Journal:
        """Return the journal at one of `paths`. Raises `DamagedJournal` or `OSError`."""
        return _decode(path.read_bytes())

    def set_aside(self, path: Path) -> Path:
        """Rename a journal that must not be acted on, never over another one; returns its new name."""
        names: Iterator[Path] = (path.with_suffix(f"{_ASIDE}-{number}") for number in range(1, 1_000_000))
        aside = next(name for name in names if not name.exists())
        path.replace(aside)
        sync([self.directory])
        return aside

    def any_set_aside(self) -> bool:
        """Whether a person still has to look at a journal, so that nothing it may speak of is removed."""
        return any(self.directory.glob(f"*{_ASIDE}-*"))


def _decode(raw: bytes) -> Journal:
    head, _, body = raw.partition(b"\n")
    match head.decode(errors="replace").split(" "):
        case [name, version, checksum] if name == _MAGIC:
            pass
        case _:
            raise DamagedJournal("it does not begin as a journal does")
    if version != str(VERSION):
        raise DamagedJournal(f"it is of version {version[:20]}, and this ctemplate knows version {VERSION} only")
    if hashlib.sha256(body).hexdigest() != checksum:
        raise DamagedJournal("its checksum does not fit")
    try:
        return msgspec.json.decode(body, type=Journal)
    except msgspec.MsgspecError as error:
        raise DamagedJournal(f"it does not hold what it should: {error}") from error
