"""Templates as they were written become templates as they run: what must be there, and what cannot stand together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ctemplate.changes import Command
from ctemplate.config.problems import Problems, Said
from ctemplate.config.tables import Draft
from ctemplate.settings import Template

_OF_COMMAND = ("command_timeout", "on_failure")


def build_templates(drafts: Iterable[Draft], *, problems: Problems) -> tuple[Template, ...]:
    """The templates in the order of `drafts`. What is wrong goes to `problems`, and its template is left out."""
    templates: list[Template] = []
    written: dict[str, str] = {}
    for draft in drafts:
        template = _build(draft, problems)
        if template is None:
            continue
        real = os.path.realpath(template.destination)
        if real in written:
            problems.add(draft.where, f"two templates write {template.destination}: also {written[real]}")
            continue
        written[real] = draft.where
        templates.append(template)
    return tuple(templates)


def _build(draft: Draft, problems: Problems) -> Template | None:
    before = len(problems.lines)
    fields: dict[str, Any] = {name: said.value for name, said in draft.said.items() if name not in _OF_COMMAND}
    if "destination" not in draft.written:
        problems.add(draft.where, "destination is missing")
    if ("source" in draft.written) == ("contents" in draft.written):
        both = ", not both" if "source" in draft.written else ""
        problems.add(draft.where, f"expected one of source and contents{both}")
    if len(problems.lines) > before or not fields.keys() >= draft.written & {"source", "contents", "destination"}:
        return None
    for key in ("source", "destination"):
        if key in fields and not _is_text(str(fields[key])):
            problems.add(_where(draft, key), "expected a path in UTF-8: neither log nor status could name this one")
    destination: Path = fields["destination"]
    if _is_directory(destination):
        problems.add(_where(draft, "destination"), f"expected a file, but {destination} is a directory")
    if "source" in fields and os.path.realpath(fields["source"]) == os.path.realpath(destination):
        problems.add(_where(draft, "destination"), "the template would be overwritten by what it renders")
    if len(problems.lines) > before:
        return None
    return Template(**(fields | _commands(draft.said)))


def _commands(said: Mapping[str, Said]) -> dict[str, Command | None]:
    """`command` and `check` with what the keys beside them say of how they are run."""
    timeout = {"timeout": said["command_timeout"].value} if "command_timeout" in said else {}
    on_failure = {"on_failure": said["on_failure"].value} if "on_failure" in said else {}
    found: dict[str, Command | None] = {}
    if "command" in said:
        line = said["command"].value.line
        found["command"] = Command(line, **timeout, **on_failure) if line else None
    if "check" in said:
        found["check"] = Command(said["check"].value.line, **timeout)
    return found


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # nobody may look there: writing will tell
        return False


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _where(draft: Draft, key: str) -> str:
    return draft.said[key].where
