"""From the text of an address to where a server is, the same for every catalog that speaks HTTP."""

from __future__ import annotations

from ctemplate.catalog.fields import PORT_MAX
from ctemplate.catalog.http import Endpoint
from ctemplate.errors import ConfigError


def parse_endpoints(addresses: str, *, server: str, ports: tuple[int, int], tls: bool = False) -> tuple[Endpoint, ...]:
    """Parse `host:port`, several with commas between, each with `http://` or `https://` or none, or `unix:///path`.

    `server` names in errors what is addressed; `ports` are taken without and with TLS where none is given; `tls`
    holds where no scheme says otherwise. Raises `ConfigError`.
    """
    parts = [part.strip() for part in addresses.split(",") if part.strip()]
    if not parts:
        raise ConfigError(f"the {server} address is empty: expected host:port, http(s)://host:port or unix:///path")
    return tuple(_endpoint(part, server=server, ports=ports, tls=tls) for part in parts)


def _endpoint(address: str, *, server: str, ports: tuple[int, int], tls: bool) -> Endpoint:
    if "@" in address:
        raise ConfigError(f"the {server} address holds an @: a user and password have settings of their own")
    scheme, slashes, rest = address.partition("://")
    if not slashes:
        scheme, rest = ("https" if tls else "http"), address
    if scheme == "unix" and rest.startswith("/"):
        return Endpoint(path=rest, tls=tls)
    host, port = _host_and_port(rest.rstrip("/"))
    good_port = not port or (port.isascii() and port.isdigit() and 0 < int(port) <= PORT_MAX)
    if scheme not in ("http", "https") or not good_port or not host or any(mark in host for mark in "/?# []"):
        raise ConfigError(f"{server} address {address!r}: expected host:port, http(s)://host:port or unix:///path")
    tls = scheme == "https"
    return Endpoint(host=host, port=int(port) if port else ports[tls], tls=tls)


def _host_and_port(text: str) -> tuple[str, str]:
    """Split `host`, `host:port`, `::1`, `[::1]` or `[::1]:port`; the host is empty where that cannot be done."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        whole = bracket and (not rest or (rest.startswith(":") and rest != ":"))
        return (host, rest[1:]) if whole else ("", "")
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return (host, port) if port else ("", "")
    return text, ""
