"""What a person asks of a running ctemplate: a file in the state directory, answered by a file beside it.

A request that nobody lives to take stays, and is taken by the next run with that state directory.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from pathlib import Path

import msgspec

_ANSWERED = ".answer"
_ASKED = ".json"
_LOOK_SECONDS = 0.05


class Request(msgspec.Struct, frozen=True):
    """One thing that is asked for."""

    release: str
    """The service whose held loss is to go through."""


def leave(directory: Path, request: Request) -> Path:
    """Leave a request and return its file. Raises OSError."""
    path = directory / f"{uuid.uuid4().hex}{_ASKED}"
    written = path.with_suffix(".new")
    written.write_bytes(msgspec.json.encode(request))
    return written.rename(path)


def take(directory: Path) -> list[tuple[Path, Request]]:
    """Return what is asked for, and remove what is no request; whoever takes one must `answer` it."""
    found: list[tuple[Path, Request]] = []
    for path in sorted(directory.glob(f"*{_ASKED}")):
        try:
            found.append((path, msgspec.json.decode(path.read_bytes(), type=Request)))
        except (OSError, msgspec.DecodeError):
            path.unlink(missing_ok=True)
    return found


def answer(path: Path, text: str) -> None:
    """Say what came of a request, and that it is taken. A full disk or a lost directory must hurt nobody else."""
    with contextlib.suppress(OSError):
        written = path.with_suffix(".new")
        written.write_text(text)
        written.rename(path.with_suffix(_ANSWERED))
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def wait_for_answer(path: Path, *, seconds: float) -> str | None:
    """Return the answer to a request and remove it; None, and the request is withdrawn, if there is none in time."""
    answered = path.with_suffix(_ANSWERED)
    deadline = time.monotonic() + seconds
    while not answered.exists():
        if time.monotonic() > deadline:
            path.unlink(missing_ok=True)
            return None
        time.sleep(_LOOK_SECONDS)
    text = answered.read_text()
    answered.unlink(missing_ok=True)
    return text


def sweep(directory: Path) -> None:
    """Remove the answers that nobody waits for any more, and what was never written to its end."""
    for path in (*directory.glob(f"*{_ANSWERED}"), *directory.glob("*.new")):
        path.unlink(missing_ok=True)
