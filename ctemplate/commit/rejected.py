"""Keeps the last refused rendering of each destination for a look, and tells of it once per content.

One file a destination, 0600, in the state directory; never of a sensitive template. Losing one costs
nothing but the look, so no fault here ever stops a commit.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from ctemplate.changes import Change
from ctemplate.commit.diff import unified_diff
from ctemplate.commit.events import RenderingRefused
from ctemplate.commit.reading import digest
from ctemplate.events import Emit, Warned

DIFF_HEAD = 40
"""Lines of a difference that the log shows."""


class Refusals:
    """The directory of refused renderings. A group's thread touches the files of its own templates only."""

    def __init__(self, directory: Path, *, emit: Emit) -> None:
        self._directory = directory
        self._emit = emit
        self._told: dict[str, str] = {}
        self._absent: set[str] = set()
        """The templates of which nothing is kept here, as far as that was looked for."""

    def path(self, template: str) -> Path:
        """Where a template's last refused rendering is kept."""
        short = hashlib.sha256(template.encode()).hexdigest()[:8]
        return self._directory / f"{Path(template).name[:200]}-{short}"

    def tell(self, change: Change, *, output: str) -> None:
        """Keep a refused rendering and say what the checker said and what differs, unless that was said before."""
        content = digest(change.content)
        if self._told.get(change.template) == content:
            return
        self._told[change.template] = content
        self._absent.discard(change.template)
        lines = unified_diff(change).split("\n")
        if len(lines) > DIFF_HEAD:
            lines[DIFF_HEAD:] = [f"… and {len(lines) - DIFF_HEAD} more lines"]
        kept = "" if change.sensitive else self._keep(change)
        self._emit(RenderingRefused(template=change.template, kept=kept, output=output, diff="\n".join(lines)))

    def forget(self, template: str) -> None:
        """A later rendering was committed: what was refused is of no interest any more."""
        self._told.pop(template, None)
        if template not in self._absent:
            with contextlib.suppress(OSError):
                self.path(template).unlink(missing_ok=True)
                self._absent.add(template)

    def _keep(self, change: Change) -> str:
        path = self.path(change.template)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(change.content)
        except OSError as error:
            self._emit(Warned(message=f"{change.template}: the refused rendering cannot be kept as {path}: {error}"))
            return ""
        return str(path)
