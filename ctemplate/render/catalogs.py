"""Which of the configured catalogs a call asks: the first where it names none, several where it names a list."""

from __future__ import annotations

from collections.abc import Iterable

from ctemplate.render.faults import Fault
from ctemplate.spelling import suggestion


class Catalogs:
    """The names that `catalog=` may say, the default first."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._default = names[0]

    def one(self, given: object) -> str:
        """Return the name of the catalog that `given` means; raises `Fault` for a list."""
        if not isinstance(given, str):
            raise Fault("catalog: this function asks one catalog, by its name; service() and services() take a list")
        return self._read(given)

    def several(self, given: str | Iterable[str]) -> tuple[str, ...]:
        """Return the different catalogs that a name or a list of names means, in its order; raises `Fault`."""
        if isinstance(given, str):
            return (self._read(given),)
        names = tuple(dict.fromkeys(self._read(name) for name in given))
        if not names:
            raise Fault("catalog: the list of catalogs is empty")
        return names

    def _read(self, given: object) -> str:
        # Not a wait for a name that nobody configured: that would never end. The name may be data, so it is not said.
        if given in ("", "default"):
            return self._default
        if not isinstance(given, str) or given not in self._names:
            raise Fault(
                f"catalog: no catalog has this name{suggestion(str(given), self._names)}; "
                f"configured: {', '.join(self._names)}"
            )
        return str(given)
