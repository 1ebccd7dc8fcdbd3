"""Services by labels of one's own: which label says what is a table in the configuration.

[catalog.docker.labels]
name = "com.example.service"       # required: a container without it is no service
port = "com.example.port"          # which of its ports; may be left out where it has only one
tags = "com.example.tags"          # separated by commas
weight = "com.example.weight"
network = "com.example.network"    # goes before the catalog's own `network`
enable = "com.example.enable"      # "false" leaves the container out
meta = "com.example.meta."         # every label that begins so, without the beginning
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from ctemplate.catalog.docker.containers import Container, Port
from ctemplate.catalog.docker.places import Place, Rules, places
from ctemplate.catalog.docker.registrator import split_tags
from ctemplate.catalog.docker.services import Service
from ctemplate.catalog.fields import WEIGHT_MAX


class Labels(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The names of the labels; empty where the configuration names none."""

    name: str
    port: str = ""
    tags: str = ""
    weight: str = ""
    network: str = ""
    enable: str = ""
    meta: str = ""


def services(
    container: Container, others: Mapping[str, Container], rules: Rules, *, labels: Labels, status: str
) -> Iterator[Service]:
    """Yield the one service that `container` is, or none. One that is set wrongly has a fault."""

    def said(label: str) -> str:
        return container.labels.get(label, "").strip() if label else ""

    name = said(labels.name)
    if not name or said(labels.enable).lower() == "false":
        return
    place = _place(places(container, others, rules, network=said(labels.network)), said(labels.port))
    weight = said(labels.weight) or "1"
    if not (weight.isascii() and weight.isdigit() and 1 <= int(weight) <= WEIGHT_MAX):
        place, weight = msgspec.structs.replace(place, fault=f"weight is no integer from 1 to {WEIGHT_MAX}"), "1"
    yield Service(
        id=f"{rules.host}:{container.name}:{place.inside.number}",
        name=name,
        tags=tuple(sorted({tag.strip() for tag in split_tags(said(labels.tags))})),
        meta={
            key.removeprefix(labels.meta): value
            for key, value in container.labels.items()
            if labels.meta and key.startswith(labels.meta)
        },
        weight=int(weight),
        place=place,
        container=container,
        status=status,
    )


def _place(found: list[Place], port: str) -> Place:
    nowhere = Port(0, "tcp")
    if port:
        there = [place for place in found if str(place.inside.number) == port]
        return there[0] if there else Place(inside=nowhere, fault="it has no such port that can be reached")
    if len(found) == 1:
        return found[0]
    count = f"{len(found)} ports: name one by a label" if found else "no port that can be reached"
    return Place(inside=nowhere, fault=f"it has {count}")
