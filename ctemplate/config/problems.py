"""Everything that is wrong with a configuration, gathered, so that a person mends it in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ctemplate.config.values import Kind
from ctemplate.errors import ConfigError


class Said(msgspec.Struct, frozen=True):
    """A value that was read, of the type its kind makes, and where it stood.

    That is a flag, a variable, or file, line, table and key.
    """

    value: Any
    where: str


class Problems(msgspec.Struct):
    """Collects what is wrong, a line each, and raises it as one `ConfigError`."""

    lines: list[str] = msgspec.field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        """Note that at `where` something is the matter."""
        self.lines.append(f"{where}: {what}")

    def read(self, kind: Kind, value: object, where: str, *, base: Path) -> Said | None:
        """`value` as `kind` reads it, or None after noting what was expected."""
        try:
            return Said(kind.parse(value, base), where)
        except ConfigError as error:
            self.add(where, str(error))
            return None

    def raise_any(self) -> None:
        """Raise all that was noted, if anything was."""
        if self.lines:
            raise ConfigError("\n".join(self.lines))
