"""`ctemplate status`: what the daemon is doing, and why, from the file that it keeps for us.

The engine fills these records; this module only shows them. It never talks to the daemon, so that it
works just as well when the daemon hangs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ctemplate.state import locate, read_status

PERSON = frozenset({"failed", "rejected", "rolled back", "broken"})
"""The states that do not mend themselves."""


class TemplateStatus(msgspec.Struct, kw_only=True):
    """One template. Times are seconds since the epoch.

    Not frozen: one to which nothing happened is a part of the next status as well, and only the age of its data is set.
    A status that is to be kept must be copied.
    """

    destination: str
    group: str
    state: str
    """waiting, pending, unchanged, committed, failed, rejected, rolled back or broken."""
    since: float
    proof: str = ""
    reason: str = ""
    """Why it is not committed, or what it waits for."""
    pending: str = ""
    """What is still to be done although the file is committed, or when the next try is due."""
    instances: int = 0
    left_out: tuple[str, ...] = ()
    """The instances that the rendering goes without, and why."""
    data_since: float | None = None
    """When the oldest answer that the template read was last known to be current."""
    stale: bool = False
    """Whether it is rendered from what an earlier run committed, since its catalog has not answered yet."""
    too_old: bool = False
    """Whether its data are older than `max_age`."""


class CatalogStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One catalog."""

    name: str
    where: str
    connected: bool
    since: float
    watches: int
    connections: int
    failing: tuple[str, ...] = ()
    """Queries that are not current, with the reason."""
    refused: bool = False


class HoldStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a template keeps of a service although its catalog says less."""

    service: str
    selection: str
    """The service with its tag, datacenter and status."""
    destination: str
    before: int
    after: int
    reason: str
    leader: str
    """What the catalog's leader says of it."""
    since: float
    until: float | None
    """When it goes through, if the leader confirms it; None: when a person says so."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `ctemplate status` shows."""

    version: str
    pid: int
    started: float
    written: float
    protection: str
    """How a configuration is checked before it is live on this machine."""
    templates: tuple[TemplateStatus, ...]
    catalogs: tuple[CatalogStatus, ...]
    holds: tuple[HoldStatus, ...] = ()

    def needs_a_person(self) -> bool:
        """Whether anything stands here that time alone will not mend."""
        return (
            any(t.state in PERSON or t.too_old for t in self.templates)
            or any(c.refused for c in self.catalogs)
            or any(h.until is None for h in self.holds)
        )


def show(state_dir: Path | None, *, as_json: bool, environ: Mapping[str, str]) -> int:
    """Print the status and return the exit code: 0 well, 1 needs a person or not running."""
    path = locate(state_dir, environ)
    raw, pid = read_status(path)
    if raw is None:
        print(f"ctemplate: nothing is known: no daemon has used the state directory {path}", file=sys.stderr)  # noqa: T201 - its output
        return 1
    try:
        status = msgspec.json.decode(raw, type=Status)
    except msgspec.DecodeError as error:
        print(f"ctemplate: {path}/status.json is of another version or damaged: {error}", file=sys.stderr)  # noqa: T201 - its output
        return 1
    print(raw.decode() if as_json else describe(status, alive=pid != 0, now=time.time()))  # noqa: T201 - its output
    return 1 if pid == 0 or status.needs_a_person() else 0


def describe(status: Status, *, alive: bool, now: float) -> str:
    """Return the status as a person reads it."""
    last_word = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status.written))
    lines = [
        f"ctemplate {status.version}, process {status.pid}, up {_age(now - status.started)}"
        if alive
        else f"not running since {last_word}; what follows is its last word",
        f"checks: {status.protection}",
        "",
    ]
    rows: list[tuple[str, ...]] = [("DESTINATION", "GROUP", "STATE", "PROOF", "SINCE", "INSTANCES", "DATA AGE")]
    notes: list[str] = []
    for t in status.templates:
        age = "-" if t.data_since is None else _age(now - t.data_since)
        rows.append(
            (t.destination, _short(t.group), t.state, t.proof or "-", _age(now - t.since), str(t.instances), age)
        )
        notes += [f"{t.destination}: {t.state}: {line}" for line in (t.reason, t.pending) if line]
        if t.stale:
            notes.append(f"{t.destination}: rendered from what was last committed: its catalog has not answered yet")
        if t.too_old:
            notes.append(f"{t.destination}: its data are older than max_age")
        notes += [f"{t.destination}: left out {line}" for line in t.left_out]
    lines += _table(rows)
    lines.append("")
    rows = [("CATALOG", "WHERE", "STATE", "SINCE", "WATCHES", "CONNECTIONS")]
    for c in status.catalogs:
        state = "connected" if c.connected else "AWAY"
        rows.append((c.name, c.where, state, _age(now - c.since), str(c.watches), str(c.connections)))
        notes += [f"{c.name}: {line}" for line in c.failing]
    lines += _table(rows)
    notes += [_held(hold, now=now) for hold in status.holds]
    if notes:
        lines += ["", *notes]
    return "\n".join(lines)


def _held(hold: HoldStatus, *, now: float) -> str:
    if hold.until is None:
        until = "until somebody says so"
    elif hold.until > now:
        until = f"for {_age(hold.until - now)} more"
    else:
        until = "until the leader confirms it"
    return (
        f"{hold.destination}: {hold.selection} is held since {_age(now - hold.since)}: its {hold.before} instances "
        f"stay although the catalog has {hold.after}: {hold.reason}; the leader: {hold.leader}; held {until}, or till "
        f"`ctemplate release {hold.service}`"
    )


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _short(text: str, limit: int = 30) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _age(seconds: float) -> str:
    seconds = max(0, round(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
