"""The filters that group what a catalog gave, each group in a fixed order."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ctemplate.model import Instance, KeyValue


def by_tag(instances: Iterable[Instance]) -> dict[str, list[Instance]]:
    """Group instances by tag; one stands under each of its tags. Sorted by tag."""
    groups: dict[str, list[Instance]] = {}
    for instance in instances:
        for tag in instance.tags:
            groups.setdefault(tag, []).append(instance)
    return dict(sorted(groups.items()))


def by_meta(instances: Iterable[Instance], keys: str) -> dict[str, list[Instance]]:
    """Group instances by meta keys, as consul-template's `byMeta`: `"a,b|int"`; sorted by group.

    The parts are joined by `_`; one that is missing is `_no_KEY_`, a `|int` has five digits.
    """
    wanted = [part.strip().partition("|") for part in str(keys).split(",")]
    groups: dict[str, list[Instance]] = {}
    for instance in instances:
        parts = []
        for key, _, kind in wanted:
            text = instance.meta.get(key)
            if kind == "int":
                parts.append(f"{int(text or 0):05d}")
            else:
                parts.append(f"_no_{key}_" if text is None else re.sub(r"[^A-Za-z0-9_-]", "_", text))
        groups.setdefault("_".join(parts), []).append(instance)
    return dict(sorted(groups.items()))


def by_port(instances: Iterable[Instance]) -> dict[int, list[Instance]]:
    """Group instances by port, sorted."""
    groups: dict[int, list[Instance]] = {}
    for instance in instances:
        groups.setdefault(instance.port, []).append(instance)
    return dict(sorted(groups.items()))


def by_key(pairs: Iterable[KeyValue]) -> dict[str, dict[str, KeyValue]]:
    """Group what `tree()` gave by its first folder: folder → path below it → pair."""
    groups: dict[str, dict[str, KeyValue]] = {}
    for pair in pairs:
        folder, slash, rest = pair.path.partition("/")
        if slash and rest:
            groups.setdefault(folder, {})[rest] = pair
    return groups
