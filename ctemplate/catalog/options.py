"""Reads what a `[catalog.NAME]` table says beside its URL, by the same kinds as every other key of the file.

Which keys there are only the catalog knows; that an unknown one or a wrong value is an error is one rule for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctemplate.config.values import Kind
from ctemplate.errors import ConfigError
from ctemplate.settings import CatalogSource
from ctemplate.spelling import closest


def read_options(source: CatalogSource, known: Mapping[str, Kind]) -> dict[str, Any]:
    """Return the options of `source` that are set, each of the type that its kind makes.

    Raises `ConfigError`, with the name of the catalog and the key, and without the value.
    """
    read = {}
    for name, value in source.options.items():
        if name not in known:
            raise ConfigError(f"catalog {source.name}: unknown key {name}: {_expected(name, known)}")
        try:
            read[name] = known[name].parse(value, source.base)
        except ConfigError as error:
            raise ConfigError(f"catalog {source.name}: {name}: {error}") from None
    return read


def _expected(name: str, known: Mapping[str, Kind]) -> str:
    if not known:
        return "a catalog of this kind takes nothing but its url"
    near = closest(name, known)
    return f"did you mean {near}?" if near else f"expected one of {', '.join(sorted(known))}"
