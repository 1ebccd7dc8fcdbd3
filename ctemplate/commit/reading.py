"""What stands in a file, as bytes, by its digest, or by what changes when somebody writes it."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path


def digest(content: bytes) -> str:
    """Return the SHA-256 by which journals know bytes again."""
    return hashlib.sha256(content).hexdigest()


def read(path: Path) -> bytes | None:
    """Return what is in the file, None if there is no such file.

    A pipe or device, which could block for ever, is an error. Half the system calls of `Path.read_bytes`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        parts = [os.read(descriptor, found.st_size + 1)]
        while parts[-1]:
            parts.append(os.read(descriptor, found.st_size + 1))
        return b"".join(parts)
    finally:
        os.close(descriptor)


def digest_of(path: Path) -> str | None:
    """Return the SHA-256 of what is in the file, None if there is no such file."""
    content = read(path)
    return None if content is None else digest(content)


def fingerprint(path: Path) -> tuple[int, ...] | None:
    """Return what changes when a file is replaced or written, None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
