"""Reads a whole file as text, and says why it cannot, in one way for every catalog made of files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ctemplate.errors import Unavailable


def read_text(path: Path, *, kept: str) -> str | None:
    """Return the text of the regular file at `path`, its bytes as UTF-8; None when there is no such file.

    Raises `Unavailable` for everything else, saying that `kept` is kept. A pipe is never opened for long: it
    would be read once, and an empty one would hang.
    """
    try:
        # A pipe without a writer would block in open(2) itself.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable(path, error, kept) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unavailable(f"{path}: is not a regular file; {kept} is kept")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unavailable(f"{path}: is not UTF-8 text (byte {error.start + 1}); {kept} is kept") from None
    except OSError as error:
        raise _unreadable(path, error, kept) from error
    finally:
        os.close(descriptor)


def _unreadable(path: Path, error: OSError | ValueError, kept: str) -> Unavailable:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return Unavailable(f"{path}: cannot be read: {reason}; {kept} is kept")
