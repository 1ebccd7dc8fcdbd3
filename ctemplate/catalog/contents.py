"""Reads a whole file as text, and says why it cannot, in one way for every catalog made of files."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from pathlib import Path

from ctemplate.errors import Refused, Unavailable

CALM_SECONDS = 0.05
"""How long ago a file must have been written last.

What writes in place (`echo > FILE`) empties the file first, and a read in that moment would be an empty template.
A read after an event comes later than this anyhow; one at a start or after arming a watch may not.
"""
CALM_TRIES = 20
"""Then a file that is written all the time is taken as it is."""


def read_text(path: Path, *, kept: str, roots: Sequence[str] = ()) -> str | None:
    """Return the text of the regular file at `path`, its bytes as UTF-8; None when there is no such file.

    Raises `Unavailable` for everything else, saying that `kept` is kept, and `Refused` where there are `roots` and
    the file does not really lie below one of them, wherever symbolic links lead. Blocks for a moment where the file is
    being written; a pipe without a writer does not hold it up.
    """
    for _ in range(CALM_TRIES):
        text, written = _read(path, kept=kept, roots=roots)
        if not 0 <= time.time() - written < CALM_SECONDS:
            break
        time.sleep(CALM_SECONDS)
    return text


def _read(path: Path, *, kept: str, roots: Sequence[str]) -> tuple[str | None, float]:
    try:
        # A pipe without a writer would block in open(2) itself.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None, 0.0
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable(path, error, kept) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unavailable(f"{path}: is not a regular file; {kept} is kept")
        if roots and not _lies_below(descriptor, roots):
            raise Refused(
                f"{path}: leads out of the directories that this template may read; {kept} is kept; "
                "move the file, or name its directory in file_roots"
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read()
        written = os.fstat(descriptor).st_mtime  # after reading: a write that began meanwhile shows
        return data.decode("utf-8"), written
    except UnicodeDecodeError as error:
        raise Unavailable(f"{path}: is not UTF-8 text (byte {error.start + 1}); {kept} is kept") from None
    except OSError as error:
        raise _unreadable(path, error, kept) from error
    finally:
        os.close(descriptor)


def _lies_below(descriptor: int, roots: Sequence[str]) -> bool:
    """Whether the file that *was* opened lies below a root: asked of the kernel, as a link may change meanwhile."""
    real = Path(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - not to be resolved further
    return any(real.is_relative_to(os.path.realpath(root)) for root in roots)


def _unreadable(path: Path, error: OSError | ValueError, kept: str) -> Unavailable:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return Unavailable(f"{path}: cannot be read: {reason}; {kept} is kept")
