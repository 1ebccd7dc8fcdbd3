"""The ACL token that Consul knows us by."""

from __future__ import annotations

from pathlib import Path

from ctemplate.catalog.http import reason_of
from ctemplate.errors import Refused


class Token:
    """The ACL token, read from its file when it is first needed and again after it was refused."""

    def __init__(self, token: str, file: Path | None) -> None:
        self._file = file
        self._known = token or None

    def __call__(self) -> str:
        """Return the token, "" where there is none. Raises `Refused` when its file cannot be read."""
        if self._known is None and self._file is not None:
            try:
                self._known = self._file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as fault:
                raise Refused(f"the token file {self._file} cannot be read: {reason_of(fault)}") from fault
        return self._known or ""

    def forget(self) -> None:
        """Read the file again next time, if there is one."""
        if self._file is not None:
            self._known = None
