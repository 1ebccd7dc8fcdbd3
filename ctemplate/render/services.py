"""How a template names instances of a service: keyword options, or consul-template's query string.

The string form `TAG.NAME@DC|FILTER~NEAR` is read only in the author's own literals. A name that came
from data is taken as it is, so that a service registered as `x@evil` asks nothing of another datacenter.
Of several catalogs each is asked for itself; their answers are merged here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

import msgspec

from ctemplate.model import PASSING, STATUSES, Instance, Kind, Query
from ctemplate.render.faults import Fault
from ctemplate.spelling import suggestion

_FORM = re.compile(
    r"(?:(?P<tag>[^@~|?]+)\.)?(?P<name>[^.@~|?]+)(?:\?(?P<options>[^@~|]*))?(?:@(?P<dc>[^@~|?]+))?(?P<rest>(?:[~|][^@~|?]+)*)"
)


class Selection(msgspec.Struct, frozen=True, cache_hash=True):
    """What is asked, and what of the answers is wanted: they hold instances of every status and tag."""

    queries: tuple[Query, ...]
    """One a catalog."""
    tags: tuple[str, ...] = ()
    """An instance must carry all of them."""
    statuses: frozenset[str] | None = frozenset((PASSING,))
    """None: any."""

    @property
    def service(self) -> str:
        """The name of the service."""
        return self.queries[0].name

    def __str__(self) -> str:
        """How logs and status call it: `web`, `web (tag blue)`, `web@dc2 (any status)`."""
        text = " and ".join(str(query).replace(f"{Kind.SERVICE}(", "", 1).replace(")", "", 1) for query in self.queries)
        told = [f"tag {tag}" for tag in self.tags]
        if self.statuses is None:
            told.append("any status")
        elif self.statuses != {PASSING}:
            told.append(" or ".join(status for status in STATUSES if status in self.statuses))
        return f"{text} ({', '.join(told)})" if told else text

    def take(self, *answers: Iterable[Instance]) -> list[Instance]:
        """Pick the wanted instances of the queries' answers: in the order of the one, or `merged`."""
        if len(answers) == 1:
            return self._picked(answers[0])
        picked = self._picked(merged(answers))
        if not any(query.near for query in self.queries):
            picked.sort(key=lambda instance: (instance.node, instance.id))
        return list({_place(instance): instance for instance in reversed(picked)}.values())[::-1]

    def _picked(self, instances: Iterable[Instance]) -> list[Instance]:
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


def merged(answers: Iterable[Iterable[Instance]]) -> list[Instance]:
    """Return the instances of all answers, without those that an earlier answer has at the same address and port.

    Whatever the earlier one says of it counts, its status too: it is one process.
    """
    taken: set[tuple[str, int]] = set()
    together: list[Instance] = []
    for instances in answers:
        new = [instance for instance in instances if _place(instance) not in taken]
        taken.update(map(_place, new))
        together += new
    return together


def _place(instance: Instance) -> tuple[str, int]:
    """Where it is, however its catalog writes that."""
    address = instance.address
    return (ipaddress.ip_address(address).compressed if ":" in address else address.lower()), instance.port


def refuse_surrogates(asked: str) -> None:
    """Raise `Fault` for what no catalog can be asked, and no log or file can say."""
    try:
        asked.encode()
    except UnicodeEncodeError:
        raise Fault("a catalog is asked for a name with a lone surrogate, which is no character") from None


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


def plain_selection(name: str, catalogs: Iterable[str]) -> Selection:
    """Make the selection of a call by a name that is data, without options."""
    if not name:
        raise Fault("service(): the name is empty")
    refuse_surrogates(name)
    return Selection(queries=tuple([Query(catalog=catalog, kind=Kind.SERVICE, name=name) for catalog in catalogs]))


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
    catalogs: tuple[str, ...],
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
    selection = Selection(
        queries=tuple(
            Query(
                catalog=catalog,
                kind=Kind.SERVICE,
                name=parts["name"],
                dc=str(dc) or parts.get("dc", ""),
                near=str(near) or parts.get("near", ""),
                filter=str(filter_),
            )
            for catalog in catalogs
        ),
        tags=tuple(each for each in (parts.get("tag", ""), *tags) if each),
        statuses=read_statuses(wanted if isinstance(wanted, str) else ",".join(str(word) for word in wanted)),
    )
    refuse_surrogates(str(selection))
    return selection
