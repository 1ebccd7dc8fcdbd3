"""What ends many watches at once, and is raised by each of them."""

from __future__ import annotations

from ctemplate.errors import CatalogError


class Ending:
    """A fault of a poll that many follow.

    An exception that is raised ten thousand times has ten thousand places in its traceback, and whoever looks
    through it each time is busy for minutes. So each watch raises what has only the place where the fault arose.
    """

    def __init__(self, fault: Exception) -> None:
        """`fault` is looked into here: of what a task group raises the first counts."""
        while isinstance(fault, ExceptionGroup):
            fault = fault.exceptions[0]
        self._fault = fault
        self._arose = fault.__traceback__

    def again(self) -> Exception:
        """Return what one more watch is to raise."""
        if isinstance(self._fault, CatalogError):
            return type(self._fault)(str(self._fault))
        return self._fault.with_traceback(self._arose)
