"""Renderings minus disk: what a group would have to change.

Reads destinations, following symbolic links; writes and runs nothing, so `-dry` is this module and `diff` alone.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from ctemplate.changes import Change, Command, Plan, Rejected, Step
from ctemplate.commit.attributes import owner_ids
from ctemplate.commit.reading import read
from ctemplate.errors import CommitError
from ctemplate.model import Rendering
from ctemplate.settings import Template


def make_plan(
    group: str,
    wanted: Sequence[tuple[Template, Rendering]],
    *,
    checks: tuple[Command, ...],
    atomic: bool,
) -> Plan:
    """Compare what a group's files should hold with what they do, and plan what differs.

    A mode or owner that is set and differs counts too. A destination that cannot be compared
    (unreadable, a directory, another template's by way of a symbolic link) costs only its own
    template, which `Plan.refused` names; all of them if the group is atomic.
    """
    changes: list[Change] = []
    refused: dict[str, Rejected] = {}
    taken: dict[Path, str] = {}
    for template, rendering in wanted:
        try:
            change = _compare(template, rendering)
            other = taken.setdefault(change.destination, template.name)
            if other != template.name:
                reason = f"{template.name} and {other} are one file: {change.destination}"
                raise CommitError(Step.STAGE, reason)  # noqa: TRY301 - refused as one that cannot be read is
            if change.content != change.old or _drifted(change):
                changes.append(change)
        except CommitError as error:
            refused[template.name] = Rejected(step=error.step, reason=error.reason)
    if atomic and refused:
        first = next(iter(refused.values()))
        refused |= {change.template: first for change in changes}
        changes = []
    return Plan(group=group, changes=tuple(changes), checks=checks, atomic=atomic, refused=refused)


def _compare(template: Template, rendering: Rendering) -> Change:
    try:
        template.name.encode()  # journals and status files are UTF-8
        destination = Path(os.path.realpath(template.destination))
        old = read(destination)
    except UnicodeEncodeError:
        raise CommitError(Step.STAGE, f"{template.name!r}: the path is not UTF-8") from None
    except OSError as error:
        raise CommitError(Step.STAGE, f"{template.name} cannot be read: {error.strerror}") from error
    return Change(
        template=template.name,
        destination=destination,
        content=rendering.content,
        old=old,
        mode=template.mode,
        user=template.user,
        group=template.group,
        backup=template.backup,
        create_dirs=template.create_dirs,
        sensitive=template.sensitive,
        command=template.command,
    )


def _drifted(change: Change) -> bool:
    """Whether the mode or owner that was asked for is not the file's."""
    if change.mode is None and change.user is None and change.group is None:
        return False
    try:
        has = change.destination.stat()
    except OSError as error:
        raise CommitError(Step.STAGE, f"{change.destination} cannot be read: {error.strerror}") from error
    uid, gid = owner_ids(change)
    mode_differs = change.mode is not None and stat.S_IMODE(has.st_mode) != change.mode
    return mode_differs or uid not in (-1, has.st_uid) or gid not in (-1, has.st_gid)
