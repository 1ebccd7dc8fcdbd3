"""What stands in a file, as bytes or by what changes when somebody writes it, and how bytes are known again."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

CHUNK_BYTES = 2**17
"""What is read at once of a file that has grown since it was opened."""


def digest(content: bytes) -> str:
    """Return the SHA-256 by which journals know bytes again."""
    return hashlib.sha256(content).hexdigest()


def read(path: Path) -> bytes | None:
    """Return what is in the file, None if there is no such file.

    A pipe or device, which could block for ever, is an error. Half the system calls of `Path.read_bytes`.
    """
    found = _open(path)
    if found is None:
        return None
    descriptor, size = found
    try:
        content = os.read(descriptor, size + 1)
        more = [*iter(lambda: os.read(descriptor, CHUNK_BYTES), b"")]
        return b"".join([content, *more]) if more else content  # to join copies what may be megabytes
    finally:
        os.close(descriptor)


def _open(path: Path) -> tuple[int, int] | None:
    """Open a regular file; returns its descriptor and size, None if there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        found = os.fstat(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    if stat.S_ISREG(found.st_mode):
        return descriptor, found.st_size
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def fingerprint(path: Path) -> tuple[int, ...] | None:
    """Return what changes when a file is replaced or written, None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
