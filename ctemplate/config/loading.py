"""Flags, environment and files, laid over each other in that order, become the settings of a run.

Nothing is half accepted: all that is wrong is gathered, and raised as one error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ctemplate.config import keys, values
from ctemplate.config.environment import environment_warnings, read_environment
from ctemplate.config.files import read_documents
from ctemplate.config.flags import DEFAULT_CATALOG, Flags, parse_catalog_flag, parse_template_flag
from ctemplate.config.problems import Problems, Said
from ctemplate.config.tables import Draft, Layer, read_tables, rebased
from ctemplate.config.templates import build_templates
from ctemplate.errors import ConfigError
from ctemplate.settings import CatalogSource, Consul, Guard, ReloadGroup, Settings, Template

_SHOWN_BY_PS = ("consul_token", "consul_auth")
_TOKENS = ("consul_token", "consul_token_file")


_SILENT_SECONDS = 120.0
"""A query of which there is no news is heard of once a minute: `max_age` below this alarms without a cause."""


def load(flags: Flags, *, environ: Mapping[str, str], cwd: Path) -> Settings:
    """The settings of a run: a flag beats the environment, which beats the files.

    Relative paths start from `cwd`, those in a file from that file's directory. Called again with the same
    arguments it reads the files anew. Raises `ConfigError` with a line for everything that is wrong.
    """
    problems = Problems()
    files = _one(
        [
            read_tables(document, problems=problems)
            for document in read_documents(flags.config, cwd=cwd, problems=problems)
        ],
        problems,
    )
    said = _flags_layer(flags, cwd, problems)
    variables = read_environment(environ, base=cwd, problems=problems)
    scalars = _over(said.scalars, variables, files.scalars)
    templates = build_templates([*files.templates, *said.templates], problems=problems)
    groups = _reload_groups(files.reload_groups, templates, problems)
    catalogs = _catalogs(said.catalogs, files.catalogs)
    problems.raise_any()
    if not templates:
        raise ConfigError("there is no template: give -template SRC:DEST, or a [[template]] in the configuration file")
    run: dict[str, Any] = {name: scalars[name].value for name in keys.RUN if name in scalars}
    if run.get("dry"):
        run["once"] = True
    if "wait" in run and run["wait"].maximum == 0:
        del run["wait"]
    fields: dict[str, Any] = {
        **run,
        "consul": _consul(scalars),
        "templates": templates,
        "reload_groups": groups,
        "guard": Guard(**_plain(files.guard)),
        "service_guards": {name: _plain(said.value) for name, said in files.service_guards.items()},
        "config_files": tuple(cwd / name for name in flags.config),
        "warnings": (*_warnings(said.scalars, scalars, catalogs), *environment_warnings(environ)),
    }
    return Settings(**(fields | ({"catalogs": catalogs} if catalogs else {})))


def load_consul(flags: Flags, *, environ: Mapping[str, str], cwd: Path) -> Consul:
    """How Consul is reached, for a command that has no templates: by flags and the environment.

    Raises `ConfigError` with a line for everything that is wrong.
    """
    problems = Problems()
    said = _flags_layer(flags, cwd, problems)
    variables = read_environment(environ, base=cwd, problems=problems)
    problems.raise_any()
    return _consul(_over(said.scalars, variables))


def _flags_layer(flags: Flags, cwd: Path, problems: Problems) -> Layer:
    layer = Layer()
    for name, key in keys.GLOBAL.items():
        value: object = getattr(flags, name)
        if value is None:
            continue
        try:
            value = values.from_text(key.kind, value) if isinstance(value, str) else value
        except ConfigError as error:
            problems.add(key.flag, str(error))
            continue
        read = problems.read(key.kind, value, key.flag, base=cwd)
        if read is not None:
            layer.scalars[name] = read
    layer.templates.extend(_flag_templates(flags.template, cwd, problems))
    for text in flags.catalog:
        try:
            name, url = parse_catalog_flag(text)
        except ConfigError as error:
            problems.add("-catalog", str(error))
            continue
        if name in layer.catalogs:
            problems.add("-catalog", f'two catalogs are called "{name}": name one by NAME=URL')
        layer.catalogs[name] = Said(CatalogSource(name=name, url=rebased(url, cwd), base=cwd), "-catalog")
    return layer


def _flag_templates(texts: Iterable[str], cwd: Path, problems: Problems) -> list[Draft]:
    drafts = []
    for text in texts:
        try:
            source, destination, command = parse_template_flag(text)
        except ConfigError as error:
            problems.add("-template", str(error))
            continue
        where = f"-template {source}:{destination}"
        written = {"source": source, "destination": destination} | ({"command": command} if command.strip() else {})
        read = {
            name: problems.read(keys.TEMPLATE[name].kind, value, where, base=cwd) for name, value in written.items()
        }
        drafts.append(Draft(where, frozenset(written), {name: said for name, said in read.items() if said is not None}))
    return drafts


def _one(layers: Iterable[Layer], problems: Problems) -> Layer:
    """The layers of several files as one: templates add up, anything else may be said only once."""
    merged = Layer()
    for layer in layers:
        merged.templates.extend(layer.templates)
        for into, names in (
            (merged.scalars, layer.scalars),
            (merged.reload_groups, layer.reload_groups),
            (merged.catalogs, layer.catalogs),
            (merged.guard, layer.guard),
            (merged.service_guards, layer.service_guards),
        ):
            for name, said in names.items():
                first = into.setdefault(name, said)
                if first is not said:
                    problems.add(said.where, f"is set twice: also at {first.where}")
    return merged


def _over(*layers: Mapping[str, Said]) -> dict[str, Said]:
    """The first layer that says something wins. A token and its file are one setting."""
    merged: dict[str, Said] = {}
    for layer in layers:
        token_said = any(name in merged for name in _TOKENS)
        for name, said in layer.items():
            if not (token_said and name in _TOKENS):
                merged.setdefault(name, said)
    return merged


def _consul(scalars: Mapping[str, Said]) -> Consul:
    fields: dict[str, Any] = {
        name.removeprefix(keys.CONSUL_PREFIX): scalars[name].value for name in keys.CONSUL if name in scalars
    }
    if "addr" in fields:
        fields["address"] = fields.pop("addr")
    if "token_file" in fields:
        fields.pop("token", None)  # as Consul does: its clients must be able to read the token again
    return Consul(**fields)


def _reload_groups(
    said: Mapping[str, Said], templates: Iterable[Template], problems: Problems
) -> dict[str, ReloadGroup]:
    named = {template.reload_group for template in templates}
    groups = {}
    for name, group in said.items():
        if name not in named and not problems.lines:  # a template that was refused may be the one that names it
            problems.add(group.where, f'no template has reload_group = "{name}"')
        groups[name] = ReloadGroup(**_plain(group.value))
    return groups


def _plain(said: Mapping[str, Said]) -> dict[str, Any]:
    return {key: value.value for key, value in said.items()}


def _catalogs(flags: Mapping[str, Said], files: Mapping[str, Said]) -> tuple[CatalogSource, ...]:
    """Those of flags first, then those of files that no flag names; the one called `default` leads."""
    named: dict[str, CatalogSource] = {}
    for name, said in (*flags.items(), *files.items()):
        named.setdefault(name, said.value)
    return tuple(sorted(named.values(), key=lambda source: source.name != DEFAULT_CATALOG))


def _warnings(flags: Mapping[str, Said], scalars: Mapping[str, Said], catalogs: Iterable[CatalogSource]) -> list[str]:
    shown = [
        f"{keys.GLOBAL[name].flag} is visible to every user of this machine (ps): rather use "
        f"{keys.GLOBAL[name].env} or a configuration file"
        for name in _SHOWN_BY_PS
        if name in flags
    ]
    if "max_age" in scalars and 0 < scalars["max_age"].value < _SILENT_SECONDS:
        shown.append(
            f"{scalars['max_age'].where}: below {_SILENT_SECONDS:g} s it is an alarm without a cause, since a query of "
            "which there is no news is heard of once a minute"
        )
    address = scalars.get("consul_addr")
    if address is not None and address.where != keys.GLOBAL["consul_addr"].env and catalogs:
        shown.append(f"{address.where}: has no effect, as the catalog's URL says where it is")
    return shown
