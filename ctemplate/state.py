"""The state directory: what must outlive the process, and the locks that keep two processes apart.

    lock            held while a process uses the directory; holds its process id
    status.json     what `ctemplate status` shows, replaced atomically, never fsynced: it may be lost
    journal/        reloads that are pending (the commit package's)
    last-good.json  what the committed files followed from (the engine's), 0600, replaced atomically or added to
    requests/       what a person asks of the one that runs (`requests`)
    rejected/       the last rejected rendering of each destination (the commit package's)

It does not know what a status or a journal says.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType

from ctemplate.errors import ConfigError, CTemplateError, StateBusyError

SYSTEM_DIR = Path("/var/lib/ctemplate")
LAST_GOOD = "last-good.json"
REQUESTS = "requests"
LOCK_DIR = Path("/run/lock")
"""One place for every process of a machine, whatever its state directory: two never write one file."""


def locate(chosen: Path | None, environ: Mapping[str, str]) -> Path:
    """Say where the state directory is: as chosen, else systemd's, else the system's, else the user's own."""
    if chosen is not None:
        return chosen
    if from_systemd := environ.get("STATE_DIRECTORY"):
        return Path(from_systemd.split(":")[0])
    if os.access(SYSTEM_DIR if SYSTEM_DIR.exists() else SYSTEM_DIR.parent, os.W_OK):
        return SYSTEM_DIR
    home = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "ctemplate"


def sync_directory(directory: Path) -> None:
    """Make the entries of a directory survive a crash."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(directory: Path) -> None:
    """Make a directory for its owner only, and what is missing above it, durably.

    What is synced in a directory is lost nevertheless if a crash takes the directory's own entry.
    """
    missing = [path for path in (directory, *directory.parents) if not path.is_dir()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
        sync_directory(path.parent)


class State:
    """An open, locked state directory. Use as a context manager."""

    def __init__(self, path: Path, *, lock_wait: float = 0.0) -> None:
        """Make and lock `path`, waiting `lock_wait` seconds for another process to leave it.

        Raises ConfigError where it cannot be made, and StateBusyError naming the process that holds it.
        """
        self.path = path
        self.journal_dir = path / "journal"
        self.rejected_dir = path / "rejected"
        self.requests_dir = path / REQUESTS
        try:
            for directory in (self.journal_dir, self.rejected_dir, self.requests_dir):
                make_directory(directory)
            path.chmod(0o700)
        except OSError as error:
            raise ConfigError(
                f"the state directory {path} cannot be used: {error.strerror}; choose another with -state-dir"
            ) from error
        self._locks = Locks()
        self._locks.add(path / "lock", what=f"the state directory {path}", wait=lock_wait)
        for unfinished in path.glob(f".{LAST_GOOD}.*"):  # of a process that was killed
            unfinished.unlink(missing_ok=True)

    def __enter__(self) -> State:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._locks.close()

    def write_status(self, status: bytes) -> None:
        """Replace `status.json`. A failure is the caller's to tell: OSError."""
        temporary = self.path / f".status.json.{os.getpid()}"
        temporary.write_bytes(status)
        temporary.replace(self.path / "status.json")

    def write_last_good(self, kept: Iterable[bytes]) -> None:
        """Replace `last-good.json`, so that a power failure leaves the old one or the new one. Raises OSError."""
        temporary = self.path / f".{LAST_GOOD}.{os.getpid()}"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with open(fd, "wb") as file:  # noqa: PTH123 - a file descriptor
                file.writelines(kept)
                file.flush()
                os.fsync(fd)
            temporary.replace(self.path / LAST_GOOD)
        finally:
            # It is there if it was not put in place: what makes the pieces may fail in any way.
            temporary.unlink(missing_ok=True)

    def last_good_bytes(self) -> int:
        """How long `last-good.json` is; 0 where there is none. Raises OSError."""
        try:
            return (self.path / LAST_GOOD).stat().st_size
        except FileNotFoundError:
            return 0

    def add_to_last_good(self, kept: Iterable[bytes]) -> None:
        """Write after what is in `last-good.json`; a power failure may leave a part of it there. Raises OSError."""
        fd = os.open(self.path / LAST_GOOD, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(fd, "ab") as file:  # noqa: PTH123 - a file descriptor
            file.writelines(kept)
            file.flush()
            os.fsync(fd)


def read_last_good(path: Path) -> bytes | None:
    """Return what a state directory keeps of the last commits; None where there is nothing that can be read."""
    try:
        return (path / LAST_GOOD).read_bytes()
    except OSError:
        return None


def read_status(path: Path) -> tuple[bytes | None, int]:
    """Return the last status written in a state directory, and the process id of the daemon that lives there, or 0.

    Raises CTemplateError where this user may not read it.
    """
    try:
        status: bytes | None = (path / "status.json").read_bytes()
    except FileNotFoundError:
        status = None
    except PermissionError as error:
        raise CTemplateError(
            f"{path} is not for this user to read: ask as root, or as the user that ctemplate runs as"
        ) from error
    return status, _holder(path / "lock")


@contextlib.contextmanager
def pid_file(path: Path | None) -> Iterator[None]:
    """Hold a file with our process id for as long as we run; None: no file. Raises ConfigError."""
    if path is None:
        yield
        return
    try:
        path.write_text(f"{os.getpid()}\n")
    except OSError as error:
        raise ConfigError(f"the pid file {path} cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


class DestinationLocks:
    """One lock for each file that this process may write."""

    def __init__(self) -> None:
        self._held: dict[Path, Locks] = {}

    def hold(self, destinations: Iterable[Path]) -> None:
        """Hold exactly these from now on. Raises StateBusyError, with nothing changed, if another process has one."""
        wanted = {Path(os.path.realpath(destination)) for destination in destinations}
        taken: dict[Path, Locks] = {}
        try:
            for destination in sorted(wanted - self._held.keys()):
                taken[destination] = locks = Locks()
                locks.add(_lock_file(destination), what=f"the destination {destination}")
        except StateBusyError:
            for locks in taken.values():
                locks.close()
            raise
        for destination in self._held.keys() - wanted:
            self._held.pop(destination).close()
        self._held |= taken

    def __enter__(self) -> DestinationLocks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hold(())


class Locks:
    """Advisory locks on files, freed together or with the process."""

    def __init__(self) -> None:
        self._fds: list[int] = []

    def add(self, path: Path, *, what: str, wait: float = 0.0) -> None:
        """Lock `path`, making it if need be. Raises StateBusyError naming `what` and the holder's process id."""
        fd = _open(path)
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
                holder = _read_pid(fd)
                os.close(fd)
                raise StateBusyError(
                    f"{what} is in use by ctemplate with process id {holder or 'unknown'}; nothing was changed"
                ) from None
        with contextlib.suppress(OSError):  # a lock file of another user: locked all the same, only not signed
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fds.append(fd)

    def close(self) -> None:
        """Free the locks; the files stay, since removing one would let two processes lock two of them."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()


def _lock_file(destination: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(destination)).hexdigest()[:24]
    directory = LOCK_DIR if os.access(LOCK_DIR, os.W_OK) else Path(tempfile.gettempdir())
    return directory / f"ctemplate-{digest}.lock"


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except PermissionError:  # made by another user; a lock needs no write access
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)


def _holder(path: Path) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_pid(fd)
    finally:
        os.close(fd)
    return 0


def _read_pid(fd: int) -> int:
    text = os.pread(fd, 20, 0).strip()
    return int(text) if text.isdigit() else 0
