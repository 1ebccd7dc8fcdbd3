"""Reads YAML, JSON or TOML into plain data, the same data for the same content. It knows no keys.

Two things are stricter, and one is plainer, than the parsers' own ways. A key that stands twice is a fault, since
the parsers would drop the first without a word, and with it instances. A number that is no plain decimal integer
stays text as it was written, and in YAML so does everything that YAML 1.1 would rewrite (`no`, `1.10`, `010`,
`22:30`, `2026-01-01`): nobody who writes `version: 1.10` means 1.1.
"""

from __future__ import annotations

import json
import re
import tomllib
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml


YAML_DEPTH_MAX = 100
"""libyaml's composer calls itself, and a file of 100,000 brackets ends the process with a segmentation fault."""


class Fault(Exception):
    """What is wrong with a document, and where: a line and column, or the path of a key."""


def parse(text: str, *, suffix: str) -> object:
    """Return the document's dicts, lists, texts, integers, booleans and None. Raises `Fault`."""
    try:
        return PARSERS[suffix](text)
    except RecursionError:
        raise Fault("is nested too deeply") from None
    except ValueError as error:  # an integer of thousands of digits, or a YAML tag on what it does not fit
        raise Fault(str(error)) from None


def _json(text: str) -> object:
    try:
        return json.loads(text, parse_float=str, parse_constant=str, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise Fault(f"line {error.lineno}, column {error.colno}: {error.msg}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        raise Fault(f"key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return table


def _toml(text: str) -> object:
    try:
        return tomllib.loads(text, parse_float=str)
    except tomllib.TOMLDecodeError as error:
        raise Fault(str(error)) from None


def _yaml(text: str) -> object:
    # Lazily, here and below: most runs have no YAML file.
    import yaml

    try:
        depth = 0
        for event in yaml.parse(text, Loader=_loader()):  # iterative, and a twelfth of the time of loading
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > YAML_DEPTH_MAX:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise Fault(f"line {line}: is nested deeper than {YAML_DEPTH_MAX} levels")
        return yaml.load(text, Loader=_loader())  # noqa: S506 - a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise Fault(f"{where}{error.problem}") from None
    except yaml.YAMLError as error:
        raise Fault(" ".join(str(error).split())) from None


@cache
def _loader() -> type[yaml.SafeLoader]:
    import yaml

    # libyaml's, which is ten times faster, where PyYAML was built with it.
    safe: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(safe):  # type: ignore[valid-type,misc]  # which of the two is known at run time only
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - replaces the parent's, as PyYAML wants it

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                    if key.value in seen:
                        raise yaml.constructor.ConstructorError(
                            None, None, f"key {key.value!r} stands twice in one mapping", key.start_mark
                        )
                    seen.add(key.value)
            table: dict[Any, Any] = super().construct_mapping(node, deep=deep)
            return table

    for tag, pattern, first in (
        ("null", r"~|null|", ["~", "n", ""]),
        ("bool", r"true|false", ["t", "f"]),
        ("int", r"0|-?[1-9][0-9]{0,17}", list("-0123456789")),
        ("merge", r"<<", ["<"]),
    ):
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})\Z"), first)
    return Loader


PARSERS = {".yaml": _yaml, ".yml": _yaml, ".json": _json, ".toml": _toml}
"""By a file name's suffix, in lower case."""
