"""What the command line said, before anybody judges it, and the two small languages that flags speak.

It knows no command-line library: `cli` fills a `Flags`, and SIGHUP reads the same one again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ctemplate.errors import ConfigError
from ctemplate.model import DISK

_NAMED = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)=(.*)", re.DOTALL)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.+", re.DOTALL)
_HOST_AND_PORT = re.compile(r"(?!file:)[^/]+:[0-9]+")

DEFAULT_CATALOG = "default"
"""The name of a catalog that was given none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The flags as text; None or empty where one was not given. Names are those of the file's keys."""

    template: tuple[str, ...] = ()
    config: tuple[str, ...] = ()
    catalog: tuple[str, ...] = field(default=(), repr=False)
    consul_addr: str | None = None
    consul_token: str | None = field(default=None, repr=False)
    consul_token_file: str | None = None
    consul_ssl: bool | None = None
    consul_ssl_verify: bool | None = None
    consul_ca_file: str | None = None
    consul_client_cert: str | None = None
    consul_client_key: str | None = None
    consul_tls_server_name: str | None = None
    consul_auth: str | None = field(default=None, repr=False)
    max_stale: str | None = None
    max_connections: str | None = None
    once: bool | None = None
    timeout: str | None = None
    dry: bool | None = None
    wait: str | None = None
    check: str | None = None
    state_dir: str | None = None
    stale_start: bool | None = None
    max_age: str | None = None
    keep_keys: bool | None = None
    log_level: str | None = None
    log_format: str | None = None
    pid_file: str | None = None
    health_file: str | None = None
    file_roots: str | None = None
    haproxy_socket: str | None = None


def parse_template_flag(text: str) -> tuple[str, str, str]:
    """Source, destination and command of `SRC:DEST[:COMMAND]`; the command may be empty and may hold any text.

    It is split at its first two colons only. Raises `ConfigError` when source or destination is missing.
    """
    source, _, rest = text.partition(":")
    destination, _, command = rest.partition(":")
    if not source or not destination:
        raise ConfigError(f'expected SRC:DEST[:COMMAND], not "{source}:{destination}"')
    return source, destination, command


def parse_catalog_flag(text: str) -> tuple[str, str]:
    """Name and URL of `URL` or `NAME=URL`. Raises `ConfigError`, which does not repeat a URL: it may hold a secret."""
    match = _NAMED.fullmatch(text)
    name, url = (match[1], match[2]) if match else (DEFAULT_CATALOG, text)
    check_catalog_name(name)
    return name, check_catalog_url(url)


def check_catalog_name(name: str) -> str:
    """`name` itself, or a `ConfigError` when a catalog cannot be called so."""
    if name == DISK:
        raise ConfigError(f'a catalog cannot be called "{DISK}": the name stands for local files')
    if not _NAMED.fullmatch(f"{name}="):
        raise ConfigError('expected a catalog\'s name of letters, digits, "-" and "_"')
    return name


def check_catalog_url(url: str) -> str:
    """`url` itself, or a `ConfigError` when it has no scheme."""
    if _HOST_AND_PORT.fullmatch(url):
        raise ConfigError(f"expected a URL with a scheme, such as consul://{url}")
    if not _URL.fullmatch(url):
        raise ConfigError("expected a URL such as consul://127.0.0.1:8500 or file:services.yaml")
    return url
