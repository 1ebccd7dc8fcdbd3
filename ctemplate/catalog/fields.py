"""What an address, a port and a weight may be, the same for every catalog, decided when a record comes in.

An allow-list of characters is not enough where a value's *start* has a meaning of its own: `unix:/run/x`,
`127.1`, `0x7f000001` and `010.0.0.1` are all plain characters, and each makes a proxy or a resolver connect
somewhere that no one registered. So fields are typed before any template sees them. Nothing here resolves a
name, and no reason that is returned holds the value.
"""

from __future__ import annotations

import ipaddress
import re

PORT_MAX = 65535
WEIGHT_MAX = 65535
"""Consul's bound, for every catalog, so that a template may be moved between them."""
HOST_MAX = 253
"""Characters of a host name without its final dot: RFC 1035 2.3.4, less the length bytes of the wire format."""

# RFC 1123 2.1, and the underscore, which container and Active Directory names carry. Hyphens only inside.
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# What inet_aton(3), and so most resolvers, would read as a number: such a name is an IPv4 address in disguise.
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}", re.ASCII)
"""What `ipaddress` takes for IPv4; a tenth of its time, which counts with fifty thousand instances."""
_NUMERIC = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


def address_fault(address: object) -> str | None:
    """Why `address` cannot be the address of an instance or a node; None when it can.

    It can when it is an IPv4 address of four plain decimal numbers, an IPv6 address without brackets and without
    a zone, or a host name whose last label is not numeric.
    """
    if not isinstance(address, str):
        return "address is not text"
    if _IPV4.fullmatch(address):
        return None
    if not address:
        return "address is empty"
    if "%" in address:
        return "address is neither an IP address nor a host name (a zone means nothing on another machine)"
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return _host_fault(address)
    return None


def port_fault(port: object) -> str | None:
    """Why `port` cannot be a port; None when it is an integer from 1 to 65535, or 0 for a service without one."""
    if isinstance(port, bool) or not isinstance(port, int):
        return "port is not an integer"
    if not 0 <= port <= PORT_MAX:
        return f"port is outside 0–{PORT_MAX}"
    return None


def weight_fault(weight: object) -> str | None:
    """Why `weight` cannot be a weight; None when it is an integer from 0 to 65535."""
    if isinstance(weight, bool) or not isinstance(weight, int):
        return "weight is not an integer"
    if not 0 <= weight <= WEIGHT_MAX:
        return f"weight is outside 0–{WEIGHT_MAX}"
    return None


def _host_fault(address: str) -> str | None:
    host = address.removesuffix(".")
    if len(host) > HOST_MAX:
        return f"address is longer than a host name's {HOST_MAX} characters"
    if not _HOST.fullmatch(host):
        return "address is neither an IP address nor a host name"
    if _NUMERIC.fullmatch(host.rpartition(".")[2]):
        return "address is a malformed IP address (a host name's last label is not a number)"
    return None
