"""`docs/configuration.md` says what the code does: its tables are made from the keys, its examples are loaded."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from ctemplate.changes import Command, OnFailure
from ctemplate.cli.command import main_command
from ctemplate.cli.dialect import Flag
from ctemplate.config import Flags, keys, load
from ctemplate.settings import Consul, Guard, ReloadGroup, Settings, Template

REFERENCE = Path(__file__).parents[2] / "docs" / "configuration.md"
FIELDS = {"consul_addr": "address", "command_timeout": "timeout"}


def default_of(key: keys.Key, *holders: type) -> str:
    name = FIELDS.get(key.name, key.name.removeprefix("consul_"))
    for holder in holders:
        fields = dataclasses.fields if dataclasses.is_dataclass(holder) else msgspec.structs.fields
        declared = {field.name: field.default for field in fields(holder)}
        if name in declared:
            return shown(declared[name])
    raise AssertionError(f"nothing declares {key.name}")


def shown(value: object) -> str:
    if value in (None, "", ()) or value in (dataclasses.MISSING, msgspec.NODEFAULT):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}s`"
    return f"`{value}`"


def flag_table() -> list[str]:
    rows = ["| flag | key in a file | environment | default | meaning |", "| --- | --- | --- | --- | --- |"]
    for key in keys.GLOBAL.values():
        flag = f"{key.flag} {key.metavar}".strip().replace("|", "\\|")
        env = f"`{key.env}`" if key.env else ""
        rows.append(f"| `{flag}` | `{key.name}` | {env} | {default_of(key, Consul, Settings)} | {key.help} |")
    return rows


def key_table(known: Mapping[str, keys.Key], *holders: type) -> list[str]:
    rows = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for key in known.values():
        if key.name == "command_timeout":
            default = shown(Command("").timeout)
        elif key.name == "on_failure":
            default = f'`"{OnFailure(Command("").on_failure)}"`'
        elif key.name == "max_removed":
            default = f"`{Guard().max_removed:g}`"
        else:
            default = default_of(key, *holders)
        rows.append(f"| `{key.name}` | {key.kind.label} | {default} | {key.help} |")
    return rows


TABLES = {
    "flags": flag_table(),
    "template": key_table(keys.TEMPLATE, Template),
    "reload_group": key_table(keys.RELOAD_GROUP, ReloadGroup),
    "guard": key_table(keys.GUARD, Guard),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_the_reference_is_what_the_code_says(name):
    match = re.search(rf"<!-- {name} -->\n(.*?)<!-- end -->", REFERENCE.read_text(), re.DOTALL)
    assert match is not None
    assert match[1].splitlines() == TABLES[name]


def examples() -> list[str]:
    return re.findall(r"```toml\n(.*?)```", REFERENCE.read_text(), re.DOTALL)


def test_there_are_examples():
    assert len(examples()) >= 4


@pytest.mark.parametrize("example", examples())
def test_an_example_of_the_reference_loads(tmp_path, example):
    (tmp_path / "c.toml").write_text(example)
    load(Flags(config=("c.toml",), template=("extra.j2:extra.conf",)), environ={}, cwd=tmp_path)


def test_every_flag_has_a_row_and_every_row_a_flag():
    here = REFERENCE.read_text().partition("## Those who come from consul-template")[0]
    rows = re.findall(r"^\| `-([a-z-]+)[^`]*` \|", here, re.MULTILINE)
    flags = [param.names[0] for param in main_command().params if isinstance(param, Flag)]
    assert sorted(rows) == sorted(flags)
