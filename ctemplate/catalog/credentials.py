"""Who we are to a catalog that knows users: a name, and a password that may change on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ctemplate.catalog.contents import read_text
from ctemplate.errors import CatalogError, Refused


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user, and the password or the file that holds it; the file is preferred."""

    user: str
    password: str = field(default="", repr=False)
    password_file: Path | None = None

    def current(self) -> str:
        """Return the password of this moment, without the file's last line end. Blocks as a file does.

        Raises `Refused` where the file cannot be read.
        """
        if self.password_file is None:
            return self.password
        try:
            text = read_text(self.password_file, kept="the last answer")
        except CatalogError as fault:
            raise Refused(str(fault)) from fault
        if text is None:
            raise Refused(f"password_file {self.password_file} does not exist; the last answer is kept")
        return text.rstrip("\r\n")
