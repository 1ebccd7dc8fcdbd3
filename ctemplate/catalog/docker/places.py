"""At which address and port a container's ports can be reached. What they are called is not known here.

    mode            internal                            otherwise
    host            the host's address, the port        the same
    container:ID    that container's address there      where ID publishes it, else as internal
    any other       its address on the network          where it is published, else nowhere

Where a container is on several networks its address is the one on `Rules.network`; without that none can be chosen,
and choosing the first one is what sends half of the requests to a network that the balancer cannot reach.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from ctemplate.catalog.docker.containers import Container, Port

EVERY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104 - what a binding says, nothing is bound
SHARED = "container:"


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken of a container, and how it is reached. The names are Registrator's flags."""

    host: str
    """The name of the engine's machine: instances are on this node, and it begins their ids."""
    host_address: str
    """Where a port is reached that is published on every address."""
    ip: str = ""
    """Taken for every published port, whatever address it is bound to."""
    internal: bool = False
    """Take containers' own addresses and ports instead of published ones."""
    explicit: bool = False
    """Leave out a container that does not name its service."""
    network: str = ""
    use_ip_from_label: str = ""
    """A label that holds the address, with or without `/prefix`; it goes before everything else."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where one port of a container is reached."""

    inside: Port
    address: str = ""
    port: int = 0
    fault: str = ""
    """Why there is no address; never a value."""


def places(container: Container, others: Mapping[str, Container], rules: Rules, *, network: str = "") -> list[Place]:
    """Return where each port of `container` is reached, sorted; ports that are not published are left out.

    `others` are the running containers by id. `network` goes before the one of `rules`.
    """
    return sorted(_places(container, others, rules, network or rules.network), key=lambda place: place.inside)


def _places(container: Container, others: Mapping[str, Container], rules: Rules, network: str) -> Iterator[Place]:
    shares = container.network_mode.startswith(SHARED)
    owner = others.get(container.network_mode.removeprefix(SHARED)) if shares else container
    label = container.labels.get(rules.use_ip_from_label, "").rpartition("/")
    said = label[0] or label[2]
    for inside in container.exposed | container.published.keys():
        if owner is None:
            yield Place(inside=inside, fault="the container whose network it shares does not run")
            continue
        if owner.network_mode == "host":
            address, port, fault = rules.ip or rules.host_address, inside.number, ""
        else:
            binding = owner.published.get(inside)
            if binding is not None and not rules.internal:
                bound = rules.host_address if binding.address in EVERY_ADDRESS else binding.address
                address, port, fault = rules.ip or bound, binding.port, ""
            elif rules.internal or shares:
                (address, fault), port = _address(owner, network), inside.number
            else:
                continue
        yield Place(inside=inside, address=said or address, port=port, fault="" if said else fault)


def _address(container: Container, network: str) -> tuple[str, str]:
    if network:
        if network not in container.networks:
            return "", "it is not on the network that is set"
        address = container.networks[network]
    elif len(container.networks) > 1:
        return "", f"it is on {len(container.networks)} networks: set `network` to the one that is reached from here"
    else:
        address = next(iter(container.networks.values()), "")
    return address, "" if address else "it has no address on its network"
