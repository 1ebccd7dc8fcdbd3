"""Which templates settle, commit and reload as one.

Templates with the same command, with the same check that was set for them, or with the same
`reload_group` form a group, and so does everything that such a tie reaches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from ctemplate.changes import Command
from ctemplate.errors import ConfigError
from ctemplate.settings import ReloadGroup, Settings, Template, Wait


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Templates that belong together, and how they are committed."""

    name: str
    """The `reload_group` if one was given, else the first command, else the first destination."""
    templates: tuple[Template, ...]
    """In the order of the configuration."""
    checks: tuple[Command, ...]
    """Distinct; empty where there is nothing to check with."""
    atomic: bool
    wait: Wait | None
    """The largest of its templates'; None: the cooldown paces it."""
    cooldown: float
    """Seconds; 0.0 where there is no command to spare."""


def group_templates(settings: Settings, *, infer_check: Callable[[Command], Command | None]) -> tuple[Group, ...]:
    """Divide the templates of `settings` into groups, in the order of their first templates.

    Raises ConfigError where one tie joins templates that name different reload groups.
    """
    leader = list(range(len(settings.templates)))

    def lead(place: int) -> int:
        while leader[place] != place:
            place = leader[place]
        return place

    first_with: dict[object, int] = {}
    for place, template in enumerate(settings.templates):
        for tie in _ties(template):
            ours, theirs = lead(place), lead(first_with.setdefault(tie, place))
            leader[max(ours, theirs)] = min(ours, theirs)

    members: dict[int, list[Template]] = {}
    for place, template in enumerate(settings.templates):
        members.setdefault(lead(place), []).append(template)
    return tuple(_group(group, settings=settings, infer_check=infer_check) for group in members.values())


def _ties(template: Template) -> list[object]:
    ties: list[object] = []
    if template.command is not None:
        ties.append(("command", template.command.line))
    if template.check is not None and template.check.line:
        ties.append(("check", template.check.line))
    if template.reload_group:
        ties.append(("group", template.reload_group))
    return ties


def _group(
    templates: Sequence[Template], *, settings: Settings, infer_check: Callable[[Command], Command | None]
) -> Group:
    named = list(dict.fromkeys(t.reload_group for t in templates if t.reload_group))
    if len(named) > 1:
        raise ConfigError(
            f"reload groups {' and '.join(named)} share a command or a check, so they would reload as one: "
            f"give their templates ({', '.join(t.name for t in templates)}) one reload_group"
        )
    commands = [t.command for t in templates if t.command is not None]
    chosen = settings.reload_groups.get(named[0], ReloadGroup()) if named else ReloadGroup()
    # A template's own `wait = "0s"` turns the global one off: the cooldown paces it.
    waits = [wait for t in templates if (wait := t.wait or settings.wait) is not None and wait.minimum > 0]
    return Group(
        name=named[0] if named else str(commands[0]) if commands else templates[0].name,
        templates=tuple(templates),
        checks=tuple(
            dict.fromkeys(check for t in templates if (check := _check_of(t, settings, infer_check)) is not None)
        ),
        atomic=chosen.atomic,
        wait=max(waits, key=lambda wait: (wait.minimum, wait.maximum)) if waits and not settings.once else None,
        cooldown=chosen.cooldown if commands else 0.0,
    )


def _check_of(
    template: Template, settings: Settings, infer_check: Callable[[Command], Command | None]
) -> Command | None:
    check = template.check or settings.check
    if check is not None:
        return check if check.line else None
    if template.command is None:
        return None
    inferred = infer_check(template.command)
    return msgspec.structs.replace(inferred, timeout=template.command.timeout) if inferred else None
