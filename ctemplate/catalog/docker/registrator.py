"""Registrator's rules: which services a container is, by the `SERVICE_*` variables and labels that its users set.

    SERVICE_NAME, SERVICE_TAGS, SERVICE_ID, SERVICE_IGNORE     of every port
    SERVICE_80_NAME, …                                         of port 80: goes before the above
    SERVICE_ANYTHING                                           meta `anything`

Labels go before variables. Without a name the image's last part is the name. A container of several ports has
`-PORT` at the end of each name that is not the port's own; ports that are ignored count too. Tags are separated by
commas, `\\,` is a comma. Ids are `HOST:CONTAINER:PORT`, with `:udp` at the end for such a port.

As in Registrator 7, but for an image's digest, which is no part of its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ctemplate.catalog.docker.containers import Container
from ctemplate.catalog.docker.places import Place, Rules
from ctemplate.catalog.docker.services import Service

PREFIX = "SERVICE_"
_COMMA = re.compile(r"(?<!\\),")


def services(container: Container, places: Sequence[Place], rules: Rules, *, status: str) -> Iterator[Service]:
    """Yield the services of `container`, whose ports can be reached at `places`."""
    several = len(places) > 1
    for place in places:
        number = place.inside.number
        said, own = metadata(container, number)
        name = said.pop("name", "")
        if said.get("ignore") or (rules.explicit and not name):
            continue
        tags = split_tags(said.pop("tags", ""))
        identity = said.pop("id", "")
        suffix = ""
        if place.inside.protocol == "udp":
            tags.append("udp")
            suffix = ":udp"
        name = name or image_name(container.image)
        yield Service(
            id=identity or f"{rules.host}:{container.name}:{number}{suffix}",
            name=f"{name}-{number}" if several and "name" not in own else name,
            tags=tuple(sorted(set(tags))),
            meta=said,
            place=place,
            container=container,
            status=status,
        )


def metadata(container: Container, port: int) -> tuple[dict[str, str], frozenset[str]]:
    """Return what a container says of `port`, keys in lower case, and which of them it says of that port alone."""
    common: dict[str, str] = {}
    own: dict[str, str] = {}
    pairs = [variable.partition("=")[::2] for variable in container.env]
    for key, value in (*pairs, *container.labels.items()):
        if not key.startswith(PREFIX):
            continue
        field = key.removeprefix(PREFIX).lower()
        number, underscore, rest = field.partition("_")
        if not (underscore and number.isascii() and number.isdigit()):
            common[field] = value
        elif int(number) == port:
            own[rest] = value
    return common | own, frozenset(own)


def split_tags(text: str) -> list[str]:
    """Split at commas, those behind a backslash being part of a tag. Empty ones are left out."""
    return [tag.replace("\\,", ",") for tag in _COMMA.split(text) if tag]


def image_name(image: str) -> str:
    """Return the last part of an image's name, without tag and digest."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]
