"""What can go wrong, by meaning rather than by library.

Every library exception is translated into one of these at the edge where it arises (`raise … from`).
Messages say what failed, on what, what was kept and what to do; they never hold a token or a value
that a template printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctemplate.changes import Step


class CTemplateError(Exception):
    """The root of everything that ctemplate raises on purpose."""


class ConfigError(CTemplateError):
    """A flag, an environment variable or a configuration file is wrong. Names the flag, or file, line and key."""


class StateBusyError(CTemplateError):
    """Another ctemplate holds the state directory or a destination. Names its process id."""


class CatalogError(CTemplateError):
    """A catalog could not answer. Never means "empty": whoever catches it keeps the last answer."""


class Unavailable(CatalogError):
    """The catalog is away, overloaded, without a leader or answered nonsense: try again with a backoff."""


class Refused(CatalogError):
    """The catalog said no (a 403, a query it calls wrong): try again slowly, reading the token again.

    The message says what is missing, such as the ACL rule. `-once` ends at once.
    """


class RenderError(CTemplateError):
    """A template cannot render. Names template, line and expression, never a value."""

    def __init__(self, template: str, line: int | None, reason: str) -> None:
        self.template = template
        self.line = line
        self.reason = reason
        where = template if line is None else f"{template}:{line}"
        super().__init__(f"{where}: {reason}")


class CommitError(CTemplateError):
    """A step of a commit failed. The transaction turns it into an Outcome; it leaves the commit package never."""

    def __init__(self, step: Step, reason: str) -> None:
        self.step = step
        self.reason = reason
        super().__init__(f"{step}: {reason}")


class FileError(CommitError):
    """One file cannot be committed, whatever becomes of the others."""

    def __init__(self, step: Step, template: str, reason: str) -> None:
        self.template = template
        super().__init__(step, reason)
