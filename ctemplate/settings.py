"""Every setting, its type and its default, each written once. `config` fills them; nothing here reads anything.

What may hold a secret is a dataclass, whose fields can be left out of what is printed of it. All else are
msgspec's structs, which are made in a thirtieth of the time.

Durations are float seconds. Names are those of the configuration file; a flag is the same name with
dashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ctemplate.changes import Command

FORMATS = ("nginx", "haproxy", "keepalived", "json", "yaml", "shell", "text")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")


FOREVER = float("inf")
"""As `Guard.max_hold`: until a person says so."""
VIOLATIONS = ("hold", "warn")


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a service one commit may take from a template, and what becomes of more than that."""

    min_instances: int = 1
    """0: it may become empty."""
    max_removed: float = 0.5
    """A share of what was last committed, one instance at least; 1.0: all may go."""
    max_hold: float = 60.0
    """Seconds, then what is held goes through; `FOREVER`: not by itself."""
    on_violation: str = "hold"
    """One of `VIOLATIONS`."""


class Wait(msgspec.Struct, frozen=True):
    """Quiescence: fire `minimum` seconds after the last change, at the latest `maximum` after the first.

    A template's may be 0: it asks for none, whatever the global one is; the cooldown governs it then.
    """

    minimum: float
    maximum: float


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """One `[[template]]`, or one `-template`."""

    source: Path | None = None
    """Absolute. Exactly one of `source` and `contents` is set."""
    contents: str | None = None
    destination: Path
    """Absolute, as the user wrote it: symbolic links are followed at commit, not here."""
    command: Command | None = None
    check: Command | None = None
    """None: inferred from the command. A command with an empty line: no check at all."""
    reload_group: str = ""
    mode: int | None = None
    user: str | int | None = None
    group: str | int | None = None
    backup: bool = False
    create_dirs: bool = False
    wait: Wait | None = None
    """None: the global one."""
    format: str = ""
    """One of `FORMATS`; empty: inferred."""
    vars: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """Plain TOML values that the template sees as globals."""
    sensitive: bool = False
    sandbox: bool = False
    guard: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """The fields of `Guard` that differ for this template."""
    trim_blocks: bool = True
    lstrip_blocks: bool = True

    @property
    def name(self) -> str:
        """What the template is called in logs, status and results: its destination."""
        return str(self.destination)


class ReloadGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One `[reload_group.NAME]`."""

    atomic: bool = False
    """All files of the group or none; otherwise the culprit is held and the others go on."""
    cooldown: float = 2.0
    """The least time in seconds between two commits when `wait` is not set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogSource:
    """Where one catalog is. `options` are the keys of its `[catalog.NAME]` table that only it knows."""

    name: str = "default"
    url: str = ""
    """Empty: Consul by `Consul` and the environment."""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """As written; `catalog.options` reads them."""
    base: Path = Path()
    """The directory that relative paths among `options` start from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consul:
    """`[consul]`, the `-consul-*` flags and Consul's own environment variables, already merged."""

    address: str = "127.0.0.1:8500"
    """`host:port`, `http://…`, `https://…` or `unix:///path`."""
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    ssl: bool = False
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    tls_server_name: str = ""
    ssl_verify: bool = True
    auth: str = field(default="", repr=False)
    """`user:password` for HTTP basic authentication."""
    max_stale: float = 2.0
    """Seconds a follower may be behind the leader; 0 asks the leader always."""
    max_connections: int = 64
    """The budget of parked polls and reads together; the agent allows 200 per client address."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All that a run is told."""

    templates: tuple[Template, ...] = ()
    reload_groups: Mapping[str, ReloadGroup] = msgspec.field(default_factory=dict)
    guard: Guard = Guard()
    service_guards: Mapping[str, Mapping[str, Any]] = msgspec.field(default_factory=dict)
    """By service, the fields of `Guard` that differ for it; a template's own go before them."""
    catalogs: tuple[CatalogSource, ...] = (CatalogSource(),)
    """The first is the default, under the name `default` too."""
    consul: Consul = msgspec.field(default_factory=Consul)
    once: bool = False
    timeout: float = 60.0
    """Seconds that `once` waits for data."""
    dry: bool = False
    wait: Wait | None = None
    check: Command | None = None
    """As `Template.check`, for every template that sets none."""
    state_dir: Path | None = None
    stale_start: bool = False
    max_age: float = 0.0
    """Seconds; 0.0: no limit."""
    keep_keys: bool = False
    """Whether values of keys are kept with what was last committed."""
    log_level: str = "info"
    log_format: str = "text"
    pid_file: Path | None = None
    health_file: Path | None = None
    """Says 0 or 1 for keepalived's `track_file`; the daemon's only."""
    file_roots: tuple[Path, ...] = ()
    """Absolute directories below which `file()` reads; none: anywhere, and for a sandboxed template nowhere else."""
    haproxy_socket: Path | None = None
    """HAProxy's master socket (`haproxy -W -S PATH`), by which a reload of it is proved."""
    config_files: tuple[Path, ...] = ()
    """As given, read again at SIGHUP."""
    warnings: tuple[str, ...] = ()
    """What was read and is worth saying once, such as a token that every user can see in `ps`."""

    @property
    def catalog_names(self) -> tuple[str, ...]:
        """What a template may call the catalogs, the default first."""
        return tuple(source.name for source in self.catalogs)

    def guard_of(self, template: str, service: str) -> Guard:
        """Return what guards `service` in the template of that name."""
        own = next((t.guard for t in self.templates if t.name == template), {})
        return msgspec.structs.replace(self.guard, **{**self.service_guards.get(service, {}), **own})

    def needs_restart(self, before: Settings) -> tuple[str, ...]:
        """Name what differs from `before` and cannot be taken over by a daemon that runs."""
        fixed = ("state_dir", "pid_file", "health_file", "haproxy_socket", "once", "dry")
        return tuple(name for name in fixed if getattr(self, name) != getattr(before, name))
