"""What has to be done so that the registry agrees with the engine: two sets in, actions out. It does none of them.

    in the engine   in the registry              done
    yes             no, or ours and different    register
    yes             ours and equal               nothing; the status of its HEALTHCHECK where that differs
    yes             another's                    nothing, and a word: with `adopt`, Registrator's are taken over
    no              ours                         deregister; while removing is withheld, nothing
    no              another's                    nothing; with `adopt`, Registrator's of this machine go

Ours is what carries the mark with this machine's name. Registrator's are those without any mark whose ids it makes:
`HOST:CONTAINER:PORT`, `:udp` at the end; and those that we want by the same id and name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec

from ctemplate.register.registration import CHECK_PREFIXES, OWNER, Registration


class Present(msgspec.Struct, frozen=True, kw_only=True):
    """One service as the registry holds it."""

    id: str
    name: str
    address: str
    port: int
    tags: tuple[str, ...] = ()
    """Sorted."""
    meta: Mapping[str, str] = {}
    checks: Mapping[str, str] = {}
    """Check id to status."""


class Register(msgspec.Struct, frozen=True):
    """Write a registration, new or over the old one."""

    wanted: Registration
    why: str

    def __str__(self) -> str:
        return f"register {self.wanted.name} {self.wanted.id} at {self.wanted.address}:{self.wanted.port}: {self.why}"


class Deregister(msgspec.Struct, frozen=True):
    """Remove a registration."""

    present: Present
    why: str

    def __str__(self) -> str:
        return f"deregister {self.present.name} {self.present.id}: {self.why}"


class Report(msgspec.Struct, frozen=True):
    """Tell the status of a HEALTHCHECK."""

    wanted: Registration
    changed: bool
    """Whether the registry holds another one; otherwise it is told so that it does not forget."""

    def __str__(self) -> str:
        return f"{self.wanted.name} {self.wanted.id} is {self.wanted.health}"


class LeaveAlone(msgspec.Struct, frozen=True):
    """Somebody else's registration has the id that is wanted."""

    wanted: Registration

    def __str__(self) -> str:
        return (
            f"{self.wanted.name} {self.wanted.id} is registered by somebody else and left alone"
            f" (no {OWNER} of this machine; -adopt takes over what Registrator left)"
        )


Action: TypeAlias = Register | Deregister | Report | LeaveAlone


def plan(
    wanted: Mapping[str, Registration],
    present: Mapping[str, Present],
    *,
    owner: str,
    adopt: bool = False,
    remove: bool = True,
    refresh: bool = False,
) -> list[Action]:
    """Return what is to be done, what registers first. Both are by id.

    `remove`: deregister what is gone. `refresh`: report every status, changed or not.
    """
    return [*_keep(wanted, present, owner, adopt, refresh), *(_remove(wanted, present, owner, adopt) if remove else ())]


def _keep(
    wanted: Mapping[str, Registration], present: Mapping[str, Present], owner: str, adopt: bool, refresh: bool
) -> Iterator[Action]:
    for id_, entry in sorted(wanted.items()):
        now = present.get(id_)
        if now is None:
            yield Register(entry, "new")
        elif not (is_ours(now, owner) or (adopt and _is_left_over(now, owner, entry.name))):
            yield LeaveAlone(entry)
        elif difference := _difference(entry, now):
            yield Register(entry, difference)
        elif entry.health:
            changed = now.checks[entry.health_id] != entry.health
            if changed or refresh:
                yield Report(entry, changed)


def _remove(
    wanted: Mapping[str, Registration], present: Mapping[str, Present], owner: str, adopt: bool
) -> Iterator[Action]:
    for id_, now in sorted(present.items()):
        if id_ in wanted:
            continue
        if is_ours(now, owner):
            yield Deregister(now, "gone")
        elif adopt and _is_left_over(now, owner):
            yield Deregister(now, "left over by Registrator")


def is_ours(present: Present, owner: str) -> bool:
    """Whether it carries the mark of this machine."""
    return present.meta.get(OWNER) == owner


def _is_left_over(present: Present, owner: str, name: str = "") -> bool:
    if OWNER in present.meta:
        return False
    made = re.fullmatch(rf"{re.escape(owner)}:[A-Za-z0-9][A-Za-z0-9_.-]+:[0-9]+(?::udp)?", present.id)
    return made is not None or (bool(name) and name == present.name)


def _difference(wanted: Registration, now: Present) -> str:
    """Name the fields that differ; empty when none does. Checks of others on the same service are theirs."""
    ours = frozenset(check for check in now.checks if check.startswith(CHECK_PREFIXES))
    pairs = {
        "name": (wanted.name, now.name),
        "address": (wanted.address, now.address),
        "port": (wanted.port, now.port),
        "tags": (wanted.tags, now.tags),
        "meta": (wanted.meta, now.meta),
        "checks": (wanted.check_ids, ours),
    }
    return ", ".join(field for field, (one, other) in pairs.items() if one != other)
