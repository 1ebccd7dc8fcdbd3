"""How a template names instances of a service: keyword options, or consul-template's query string.

The string form `TAG.NAME@DC|FILTER~NEAR` is read only in the author's own literals. A name that came
from data is taken as it is, so that a service registered as `x@evil` asks nothing of another datacenter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ctemplate.model import PASSING, STATUSES, Instance, Kind, Query
from ctemplate.render.faults import Fault, suggestion

_FORM = re.compile(
    r"(?:(?P<tag>[^@~|?]+)\.)?(?P<name>[^.@~|?]+)(?:\?(?P<options>[^@~|]*))?(?:@(?P<dc>[^@~|?]+))?(?P<rest>(?:[~|][^@~|?]+)*)"
)


@dataclass(frozen=True, slots=True)
class Selection:
    """A query and what of its answer is wanted: the answer holds instances of every status and tag."""

    query: Query
    tags: tuple[str, ...] = ()
    """An instance must carry all of them."""
    statuses: frozenset[str] | None = frozenset((PASSING,))
    """None: any."""

    def take(self, instances: Iterable[Instance]) -> list[Instance]:
        """Pick the wanted instances, in the answer's order."""
        statuses = self.statuses
        if statuses is None:
            picked = list(instances)
        elif len(statuses) == 1:
            (status,) = statuses
            picked = [instance for instance in instances if instance.status == status]
        else:
            picked = [instance for instance in instances if instance.status in statuses]
        for tag in self.tags:
            picked = [instance for instance in picked if tag in instance.tags]
        return picked


def read_statuses(given: str | Iterable[str]) -> frozenset[str] | None:
    """Read `"passing,warning"`, a list, or `"any"` (None); nothing means passing."""
    words = given.split(",") if isinstance(given, str) else list(given)
    wanted = {str(word).strip() for word in words} - {""}
    if "any" in wanted:
        return None
    for word in sorted(wanted - set(STATUSES)):
        raise Fault(f"service(): unknown status{suggestion(word, STATUSES)}; known: any, {', '.join(STATUSES)}")
    return frozenset(wanted) or frozenset((PASSING,))


def read_form(text: str) -> tuple[dict[str, str], list[str]]:
    """Read consul-template's form into `name tag dc near` and the filter words; raises `Fault`."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise Fault("service(): the name is not of the form TAG.NAME@DC|FILTER~NEAR")
    if found["options"]:
        raise Fault("service(): namespaces, partitions and peers (`?…`) are not supported")
    parts = {key: found[key] or "" for key in ("name", "tag", "dc")}
    filters = []
    for mark, word in re.findall(r"([~|])([^~|]+)", found["rest"]):
        if mark == "~":
            parts["near"] = word
        else:
            filters.append(word)
    return parts, filters


def read_selection(
    name: str,
    words: tuple[str, ...],
    *,
    literal: bool,
    tag: str | Iterable[str],
    dc: str,
    near: str,
    status: str | Iterable[str],
    filter_: str,
    catalog: str,
) -> Selection:
    """Make a selection of a call's arguments; `literal` says that the name is the author's own text."""
    if not name:
        raise Fault("service(): the name is empty")
    parts: dict[str, str] = {"name": name}
    filters = [str(word) for word in words]
    if literal and re.search(r"[.@~|?]", name):
        parts, more = read_form(name)
        filters = more + filters
    tags = [str(tag)] if isinstance(tag, str) else [str(each) for each in tag]
    wanted = status or filters
    return Selection(
        query=Query(
            catalog=str(catalog),
            kind=Kind.SERVICE,
            name=parts["name"],
            dc=str(dc) or parts.get("dc", ""),
            near=str(near) or parts.get("near", ""),
            filter=str(filter_),
        ),
        tags=tuple(each for each in (parts.get("tag", ""), *tags) if each),
        statuses=read_statuses(wanted if isinstance(wanted, str) else ",".join(str(word) for word in wanted)),
    )
