"""The tables of one configuration file, checked key by key: unknown keys and wrong types are found here.

What a setting means together with the flags, the environment and other files is `loading`'s business.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ctemplate.config import keys, values
from ctemplate.config.files import Document
from ctemplate.config.flags import check_catalog_name, check_catalog_url, parse_catalog_flag
from ctemplate.config.foreign import key_advice
from ctemplate.config.keys import Key
from ctemplate.config.locate import KeyPath
from ctemplate.config.problems import Problems, Said
from ctemplate.errors import ConfigError
from ctemplate.settings import CatalogSource
from ctemplate.spelling import closest

_TABLES = ("template", "reload_group", "catalog", "consul", "guard")


class Draft(msgspec.Struct, frozen=True):
    """One template as it was written, before its keys are held against each other."""

    where: str
    written: frozenset[str]
    """The keys that are there, among them those that could not be read."""
    said: Mapping[str, Said]


class Layer(msgspec.Struct, frozen=True):
    """What one source of settings says. Several are laid over each other."""

    scalars: dict[str, Said] = msgspec.field(default_factory=dict)
    """By the names of `keys.GLOBAL`."""
    templates: list[Draft] = msgspec.field(default_factory=list)
    reload_groups: dict[str, Said] = msgspec.field(default_factory=dict)
    """By name, each a mapping of key to `Said`."""
    guard: dict[str, Said] = msgspec.field(default_factory=dict)
    """By the names of `keys.GUARD`."""
    service_guards: dict[str, Said] = msgspec.field(default_factory=dict)
    """By service, each a mapping of key to `Said`."""
    catalogs: dict[str, Said] = msgspec.field(default_factory=dict)
    """By name, each a `CatalogSource`, in the order they were written."""


def read_tables(document: Document, *, problems: Problems) -> Layer:
    """All that `document` says. What is wrong goes to `problems` and is left out."""
    reader = _Reader(document, problems)
    layer = Layer()
    layer.scalars.update(reader.keys(document.data, keys.GLOBAL, (), also=_TABLES))
    for name, said in reader.keys(reader.table(("consul",)), keys.CONSUL_TABLE, ("consul",)).items():
        first = layer.scalars.setdefault(keys.CONSUL_TABLE[name].name, said)
        if first is not said:
            problems.add(said.where, f"is set twice: also at {first.where}")
    layer.templates.extend(reader.templates())
    for name in reader.table(("reload_group",)):
        path: KeyPath = ("reload_group", name)
        layer.reload_groups[name] = Said(
            reader.keys(reader.table(path), keys.RELOAD_GROUP, path), document.table_place(path)
        )
    guard = reader.table(("guard",))
    layer.guard.update(reader.keys(guard, keys.GUARD, ("guard",), also=("service",)))
    for name in reader.table(("guard", "service")) if "service" in guard else ():
        path = ("guard", "service", name)
        layer.service_guards[name] = Said(reader.keys(reader.table(path), keys.GUARD, path), document.table_place(path))
    for name, place in reader.catalogs():
        first = layer.catalogs.setdefault(name, place)
        if first is not place:
            problems.add(place.where, f'the catalog "{name}" is set twice: also at {first.where}')
    return layer


_LOCAL = ("file", "smartstack")
"""The schemes whose URLs are paths of this machine."""


def rebased(url: str, base: Path) -> str:
    """`url` with the path of a `file:` URL and its like made absolute; any other as it is."""
    scheme, _, path = url.partition(":")
    return f"{scheme}:{base / path.removeprefix('//')}" if scheme in _LOCAL else url


class _Reader(msgspec.Struct, frozen=True):
    document: Document
    problems: Problems

    def table(self, path: KeyPath) -> Mapping[str, Any]:
        """The table at `path`; empty where there is none, and, after a note, where it is something else."""
        value: Any = self.document.data
        for step in path:
            value = value.get(step, {})
        if isinstance(value, dict):
            return value
        header = "[" + ".".join(map(str, path)) + ("]" if len(path) > 1 or path[0] in ("consul", "guard") else ".NAME]")
        self.problems.add(self.document.place(path), f"expected a table {header}, not {values.type_name(value)}")
        return {}

    def keys(
        self, table: Mapping[str, Any], known: Mapping[str, Key], path: KeyPath, *, also: Collection[str] = ()
    ) -> dict[str, Said]:
        """The known keys of `table`, read; `also` are known to be read elsewhere."""
        said: dict[str, Said] = {}
        for name, value in table.items():
            where = self.document.place((*path, name))
            if name in known:
                read = self.problems.read(known[name].kind, value, where, base=self.document.base)
                if read is not None:
                    said[name] = read
            elif name not in also:
                self.problems.add(where, self._unknown(name, [*known, *also], path))
        return said

    def templates(self) -> list[Draft]:
        tables = self.document.data.get("template", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self.problems.add(self.document.place(("template",)), "expected [[template]] tables, in double brackets")
            return []
        return [
            Draft(
                self.document.table_place(("template", i)),
                frozenset(table),
                self.keys(table, keys.TEMPLATE, ("template", i)),
            )
            for i, table in enumerate(tables)
        ]

    def catalogs(self) -> list[tuple[str, Said]]:
        written = self.document.data.get("catalog", {})
        if isinstance(written, str):
            written = [written]
        found: list[tuple[str, Said]] = []
        if isinstance(written, list) and all(isinstance(url, str) for url in written):
            where = self.document.place(("catalog",))
            entries: list[tuple[str, object, Mapping[str, Any], str]] = [(where, url, {}, "") for url in written]
        elif isinstance(written, dict) and all(isinstance(table, dict) for table in written.values()):
            entries = [
                (self.document.table_place(("catalog", name)), table.get("url", ""), table, name)
                for name, table in written.items()
            ]
        else:
            self.problems.add(
                self.document.place(("catalog",)), 'expected catalog = "URL", or [catalog.NAME] tables with a url'
            )
            return []
        for where, url, table, name in entries:
            try:
                source = self._catalog(url, table, name)
            except ConfigError as error:
                self.problems.add(where, str(error))
            else:
                found.append((source.name, Said(source, where)))
        return found

    def _catalog(self, url: object, table: Mapping[str, Any], name: str) -> CatalogSource:
        if not isinstance(url, str):
            raise ConfigError(f"url: expected a string, not {values.type_name(url)}")
        if name:
            check_catalog_name(name)
            if "url" not in table:
                raise ConfigError("url is missing: expected one such as consul://127.0.0.1:8500")
            check_catalog_url(url)
        else:
            name, url = parse_catalog_flag(url)
        options = {key: value for key, value in table.items() if key != "url"}
        base = self.document.base
        return CatalogSource(name=name, url=rebased(url, base), options=options, base=base)

    @staticmethod
    def _unknown(name: str, known: Collection[str], path: KeyPath) -> str:
        advice = key_advice(name, of_template=path[:1] == ("template",))
        if advice is not None:
            return "unknown key: " + advice.format_map({key: key for key in keys.GLOBAL})
        near = closest(name, known)
        if near is not None:
            return f"unknown key: did you mean {near}?"
        return f"unknown key: expected one of {', '.join(sorted(known))}"
