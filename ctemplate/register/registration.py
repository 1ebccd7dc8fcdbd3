"""What an instance is in the registry: Registrator's fields and checks, our mark, and a check for a HEALTHCHECK.

Checks are Registrator's, from what a container says by `SERVICE_CHECK_*`, which stands in the instance's meta:

    http https script ttl tcp grpc      the first that is there
    interval (10s) timeout initial_status deregister_after
    http_method https_method tls_skip_verify grpc_use_tls

`cmd` would run a script in Registrator's own image and is refused. A HEALTHCHECK is a check besides, whose status we
report; it holds for ten minutes without us, so that a restart of ours takes nobody away.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

import msgspec

from ctemplate.catalog.docker.services import HEALTH_CHECK
from ctemplate.model import Instance

OWNER = "ctemplate-owner"
"""The key of meta that says whose a registration is: the name of the machine."""
TTL = "10m"
DEFAULT_INTERVAL = "10s"
"""Registrator's."""
CHECK_PREFIXES = ("service:", f"{HEALTH_CHECK}:")
"""Of the ids of checks that come from here; Consul's own for a service's one check is the first."""

_META_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_META_VALUE_MAX = 512
_META_PAIRS_MAX = 64
"""Consul's own bounds: beyond them it refuses the whole registration."""


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """One service as the registry is to hold it."""

    id: str
    name: str
    address: str
    port: int
    tags: tuple[str, ...]
    meta: Mapping[str, str]
    """With the mark."""
    check: Mapping[str, Any] | None
    """As Consul's API takes it; None where the container asks for none."""
    health: str = ""
    """The status of its HEALTHCHECK; empty where it has none."""
    complaints: tuple[str, ...] = ()
    """What the container asks for and does not get."""

    @property
    def check_ids(self) -> frozenset[str]:
        """The ids of its checks."""
        wanted = {f"service:{self.id}"} if self.check else set()
        return frozenset(wanted | ({self.health_id} if self.health else set()))

    @property
    def health_id(self) -> str:
        """The id of the check that its HEALTHCHECK is."""
        return f"{HEALTH_CHECK}:{self.id}"


def registration(instance: Instance, *, owner: str) -> Registration:
    """Return what `instance` is to be in the registry, for the machine `owner`."""
    check, refused = _check(instance)
    meta, left_out = _meta(instance.meta)
    health = next((check.status for check in instance.checks if check.id == HEALTH_CHECK), "")
    complaints = [f"{instance.name} {instance.id}: {said}" for said in (refused, left_out) if said]
    return Registration(
        id=instance.id,
        name=instance.name,
        address=instance.address,
        port=instance.port,
        tags=instance.tags,
        meta={**meta, OWNER: owner},
        check=check,
        health=health,
        complaints=tuple(complaints),
    )


def _check(instance: Instance) -> tuple[Mapping[str, Any] | None, str]:
    said = {key.removeprefix("check_"): value for key, value in instance.meta.items() if key.startswith("check_")}
    kind = next((kind for kind in _KINDS if said.get(kind)), "")
    if not kind:
        return None, ""
    if kind == "cmd":
        return None, "SERVICE_CHECK_CMD runs a script of Registrator's image: give the container a HEALTHCHECK instead"
    try:
        check = _KINDS[kind](instance, said)
    except ValueError:
        return None, f"SERVICE_CHECK_{kind.upper()} is no command line"
    if kind != "ttl":
        check["Interval"] = said.get("interval") or DEFAULT_INTERVAL
    for key, field in (("timeout", "Timeout"), ("initial_status", "Status")):
        if said.get(key) and not (key == "timeout" and kind in ("ttl", "script")):
            check[field] = said[key]
    if said.get("deregister_after"):
        check["DeregisterCriticalServiceAfter"] = said["deregister_after"]
    return {"CheckID": f"service:{instance.id}", "Name": f"Service '{instance.name}' check", **check}, ""


def _http(instance: Instance, said: Mapping[str, str], scheme: str = "http") -> dict[str, Any]:
    method = {"Method": said[f"{scheme}_method"]} if said.get(f"{scheme}_method") else {}
    return {"HTTP": f"{scheme}://{instance.endpoint}{said[scheme]}", **method}


def _https(instance: Instance, said: Mapping[str, str]) -> dict[str, Any]:
    return _http(instance, said, "https") | _skip_verify(said)


def _grpc(instance: Instance, said: Mapping[str, str]) -> dict[str, Any]:
    tls = {"GRPCUseTLS": True, **_skip_verify(said)} if said.get("grpc_use_tls") else {}
    return {"GRPC": instance.endpoint, **tls}


def _script(instance: Instance, said: Mapping[str, str]) -> dict[str, Any]:
    words = shlex.split(said["script"])
    fields = {"$SERVICE_IP": instance.address, "$SERVICE_PORT": str(instance.port)}
    for name, value in fields.items():
        words = [word.replace(name, value) for word in words]
    return {"Args": words}


def _skip_verify(said: Mapping[str, str]) -> dict[str, Any]:
    return {"TLSSkipVerify": True} if said.get("tls_skip_verify") else {}


_KINDS: Mapping[str, Any] = {
    "http": _http,
    "https": _https,
    "cmd": None,
    "script": _script,
    "ttl": lambda instance, said: {"TTL": said["ttl"]},
    "tcp": lambda instance, said: {"TCP": instance.endpoint},
    "grpc": _grpc,
}
"""In the order in which Registrator looks for them."""


def _meta(meta: Mapping[str, str]) -> tuple[dict[str, str], str]:
    fit = {
        key: value
        for key, value in sorted(meta.items())
        if _META_KEY.fullmatch(key) and not key.startswith("consul-") and len(value) <= _META_VALUE_MAX and key != OWNER
    }
    kept = dict(list(fit.items())[: _META_PAIRS_MAX - 1])
    lost = sorted(meta.keys() - kept.keys())
    return kept, f"meta that Consul does not take is left out: {', '.join(map(repr, lost))}" if lost else ""
