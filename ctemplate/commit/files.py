"""Moves one file through a commit: staged beside its destination, the old one kept, swapped, restored.

Every function does its one thing to the disk and syncs the file that it wrote; which directories are
synced when, and in which order the steps come, is the transaction's business. Knows no commands and
no journal. Faults are `OSError`, except where a person must be told something better: `FileError`.

Names, all beside the destination, hidden so that neither `*.conf` nor `sites-enabled/*` includes them:
    .NAME.ctemplate-ID-new    what will be swapped in
    .NAME.ctemplate-ID-old    what stood there, until the commit is proved
    .NAME.ctemplate-ID-kept   what stood there before an interrupted commit that someone else has written over
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ctemplate.changes import Change, Command, Step
from ctemplate.commit.attributes import dress
from ctemplate.commit.mounts import is_mounted
from ctemplate.commit.reading import digest, read
from ctemplate.errors import CommitError, FileError
from ctemplate.state import sync_directory

_NO_LINKS = {errno.EPERM, errno.EXDEV, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}
"""A hard link is not to be had here (vfat, an overlay's lower layer, protected_hardlinks): copy instead."""
_LEFTOVER = re.compile(r"\.(?P<name>.+)\.ctemplate-[0-9a-f]{8}-(?P<kind>new|old|bak)", re.DOTALL)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a transaction, as the journal holds it: enough to finish or undo it without anything else."""

    template: str
    destination: str
    staged: str
    kept: str
    """Where the old file is kept; nothing is there if there was none."""
    old: str | None
    """SHA-256 of the old file; None where there was none."""
    new: str
    command: Command | None = None
    """What makes the server read the file."""
    in_place: bool = False
    """Something is mounted on the destination, so that it cannot be renamed over: it is written in place."""
    backup: bool = False

    @property
    def directory(self) -> Path:
        """Whose entries change."""
        return Path(self.destination).parent


class Standing(enum.Enum):
    """What stands at a destination now."""

    OLD = enum.auto()
    NEW = enum.auto()
    TORN = enum.auto()  # old, new and zero bytes mixed: a write in place that was interrupted
    FOREIGN = enum.auto()  # neither: somebody else wrote it


def sync(directories: Iterable[Path]) -> None:
    """Make the entries of these directories survive a crash."""
    for directory in sorted(set(directories)):
        sync_directory(directory)


def make_directories(directory: Path) -> list[Path]:
    """Create what is missing of this path, durably; returns what was created, the outermost first."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    made: list[Path] = []
    try:
        for path in reversed(missing):
            path.mkdir(mode=0o755)
            made.append(path)
            sync([path.parent])
    except OSError:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
    return made


def stage(change: Change, *, ident: str) -> Entry:
    """Write the new bytes beside the destination, with the mode, owner and labels they will have, and sync them.

    Raises `FileError` if the owner is unknown or cannot be kept, if the directory is missing, or if the
    destination cannot be written for any other reason; nothing is left behind then.
    """
    hidden = change.destination.with_name(f".{change.destination.name}.ctemplate-{ident}")
    entry = Entry(
        template=change.template,
        destination=str(change.destination),
        staged=f"{hidden}-new",
        kept=f"{hidden}-old",
        old=None if change.old is None else digest(change.old),
        new=digest(change.content),
        command=change.command,
        backup=change.backup,
    )
    try:
        old = None if change.old is None else change.destination
        _write(Path(entry.staged), change.content, like=old, change=change)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError) and not change.destination.parent.is_dir()
        advice = " (its directory is missing: make it, or set create_dirs)" if missing else ""
        reason = f"{change.destination} cannot be staged: {error.strerror or error}{advice}"
        raise FileError(Step.STAGE, change.template, reason) from error
    return entry


def verify_staged(entry: Entry, change: Change) -> None:
    """See that what will be swapped in is still what was written and checked. Raises `FileError`."""
    if read(Path(entry.staged)) != change.content:
        raise FileError(Step.SWAP, entry.template, f"{entry.staged} is not what was written there")


def keep_old(entry: Entry, change: Change) -> Entry:
    """Keep what stands at the destination under a second name, and see that it is what the plan was made for.

    Returns the entry, which says from now on whether the file must be written in place. A hard link leads to no
    other mount (link(2): EXDEV), so that a file which has one now is no mount point, and need not be looked up.
    """
    destination, kept = Path(entry.destination), Path(entry.kept)
    if entry.old is not None:
        with contextlib.suppress(FileNotFoundError):
            if not _link(destination, kept):
                entry = msgspec.structs.replace(entry, in_place=is_mounted(destination))
                _write(kept, destination.read_bytes(), like=destination)
    if read(destination if entry.old is None else kept) != change.old:
        reason = f"{destination} was changed by somebody else since it was compared"
        raise FileError(Step.SWAP, entry.template, reason)
    return entry


def swap(entry: Entry) -> None:
    """Put the staged file in place of the destination."""
    if entry.in_place:
        _write_in_place(Path(entry.destination), Path(entry.staged))
    else:
        Path(entry.staged).replace(entry.destination)


def standing(entry: Entry) -> Standing:
    """Tell by its bytes what stands at the destination."""
    destination, kept = Path(entry.destination), Path(entry.kept)
    content = read(destination)
    found = None if content is None else digest(content)
    if entry.old == entry.new == found:  # only mode or owner differ, so only the inode tells
        swapped = kept.exists() and not kept.samefile(destination)
        return Standing.NEW if swapped else Standing.OLD
    if found == entry.old:
        return Standing.OLD
    if found == entry.new:
        return Standing.NEW
    if entry.in_place and content is not None and _torn(content, read(kept) or b"", read(Path(entry.staged)) or b""):
        return Standing.TORN
    return Standing.FOREIGN


def restore(entry: Entry) -> Standing:
    """Put the old file back where the new one stands; what is neither is left alone. Returns what was found.

    Raises `CommitError` if the old file is gone.
    """
    found = standing(entry)
    if found not in (Standing.NEW, Standing.TORN):
        return found
    destination, kept = Path(entry.destination), Path(entry.kept)
    if entry.old is None:
        destination.unlink()
    elif not kept.exists():
        raise CommitError(Step.RESTORE, f"{destination} cannot be put back: its old file {kept} is gone")
    elif entry.in_place:
        _write_in_place(destination, kept)
    else:
        kept.replace(destination)
    return found


def make_backup(entry: Entry) -> None:
    """Keep the old file as `NAME.bak`, in place of the generation before it."""
    if not entry.backup or entry.old is None:
        return
    kept, lasting = Path(entry.kept), Path(f"{entry.destination}.bak")
    passing = Path(entry.kept.removesuffix("-old") + "-bak")
    passing.unlink(missing_ok=True)
    if not _link(kept, passing):
        _write(passing, kept.read_bytes(), like=kept)
    passing.replace(lasting)
    passing.unlink(missing_ok=True)  # renaming between two links of one file leaves both


def set_backup_aside(entry: Entry) -> Path | None:
    """Rename the kept old file so that no sweep takes it; returns its name, None if there is none."""
    aside = Path(entry.kept.removesuffix("-old") + "-kept")
    try:
        Path(entry.kept).replace(aside)
    except FileNotFoundError:
        return aside if aside.exists() else None
    return aside


def discard(entry: Entry) -> None:
    """Remove what a transaction has beside the destination. What cannot be removed is left for the next sweep."""
    for path in (entry.staged, entry.kept):
        with contextlib.suppress(OSError):
            Path(path).unlink(missing_ok=True)


def leftovers(destination: Path, *, kinds: Iterable[str] = ("new", "old", "bak")) -> list[Path]:
    """Return what interrupted transactions left beside this destination, sorted."""
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(destination.parent) as scan:
        for item in scan:
            match = _LEFTOVER.fullmatch(item.name)
            if match and match["name"] == destination.name and match["kind"] in kinds:
                found.append(Path(item.path))
    return sorted(found)


def _write(path: Path, content: bytes, *, like: Path | None, change: Change | None = None) -> None:
    """Create `path` whole and synced, with the attributes of `like` save those that `change` sets."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            _write_all(descriptor, content)
            dress(descriptor, path, like=like, change=change)
            os.fsync(file)
    except (OSError, CommitError):
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def _write_all(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def _link(source: Path, target: Path) -> bool:
    """Hard-link, or return False where that cannot be."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def _write_in_place(destination: Path, source: Path) -> None:
    """Write over a file that cannot be renamed over. Room is taken first: a full disk must not tear it."""
    content, like = source.read_bytes(), source.stat()
    descriptor = os.open(destination, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        had = os.fstat(descriptor)
        try:
            if content:
                os.posix_fallocate(descriptor, 0, len(content))
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                os.ftruncate(descriptor, had.st_size)
                raise
        _write_all(descriptor, content)
        os.ftruncate(descriptor, len(content))
        if (had.st_uid, had.st_gid) != (like.st_uid, like.st_gid):
            os.fchown(descriptor, like.st_uid, like.st_gid)
        if stat.S_IMODE(had.st_mode) != stat.S_IMODE(like.st_mode):
            os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _torn(content: bytes, old: bytes, new: bytes) -> bool:
    """Whether every byte is the old one, the new one or zero at its place: nobody writes such a file by hand."""
    if len(content) > max(len(old), len(new)):
        return False
    return all(byte in (0, *old[at : at + 1], *new[at : at + 1]) for at, byte in enumerate(content))
