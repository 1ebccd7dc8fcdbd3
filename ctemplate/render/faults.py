"""What goes wrong inside a rendering, and how it becomes a `RenderError` that holds no value.

Exceptions of Python and Jinja2 carry values in their messages (`invalid literal for int(): '…'`), so
only messages that were written here, or that speak of the author's own text, are passed on.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from types import TracebackType
from typing import Any

from jinja2 import TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError

from ctemplate.errors import RenderError


class Fault(Exception):
    """Something a template may not do. Its message holds no value."""


def refusing(why: str) -> Any:
    """Return a function that takes anything and raises `Fault`."""

    def refuse(*_args: object, **_kwargs: object) -> Any:
        raise Fault(why)

    return refuse


class Refusal(Fault):
    """A value that the output format refuses. `value` is kept to find who carries it, never to be shown."""

    def __init__(self, reason: str, value: str) -> None:
        super().__init__(reason)
        self.value = value


class Unproved(Exception):
    """A template proved safe by its text printed something that the proof did not foresee."""


def let_go(error: BaseException | None) -> None:
    """Drop the frames that an exception holds, and with them, at once, all that the template made: up to 1 GiB."""
    greedy = isinstance(error, MemoryError)
    while error is not None:
        error.__traceback__ = None
        error = error.__context__
    if greedy:
        gc.collect()


_EXPRESSION = re.compile(r"\{\{[-+]?\s*(.*?)\s*[-+]?\}\}", re.DOTALL)


def quoted_source(text: str, line: int, ordinal: int | None) -> str:
    """Return the expression on a line of a template's text, else the whole line; the author's text, no value."""
    lines = text.splitlines()
    if not 1 <= line <= len(lines):
        return ""
    found = _EXPRESSION.findall(lines[line - 1])
    if ordinal is not None and ordinal < len(found):
        shown = f"{{{{ {found[ordinal]} }}}}"
    elif len(found) == 1 and "{%" not in lines[line - 1]:
        shown = f"{{{{ {found[0]} }}}}"
    else:
        shown = lines[line - 1].strip()
    return shown if len(shown) <= 160 else shown[:159] + "…"


def where(traceback: TracebackType | None) -> tuple[str, str, int, int | None] | None:
    """Find the innermost frame of a compiled template: its name, text, line and which expression of that line."""
    found = None
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            found = (template, traceback.tb_lineno)
        traceback = traceback.tb_next
    if found is None:
        return None
    template, python_line = found
    return (
        template.name,
        template.text,
        template.get_corresponding_lineno(python_line),
        template.ordinals.get(python_line),
    )


_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (RecursionError, "the template calls itself without end"),
    (MemoryError, "the template needs too much memory"),
    (UnicodeError, "text that cannot be encoded"),
    (ZeroDivisionError, "a division by zero"),
    (TypeError, "a value of the wrong type, or wrong arguments"),
    (ValueError, "a value that cannot be converted"),
    (LookupError, "no such element"),
    (re.error, "a regular expression that is wrong"),
)


def describe(error: Exception) -> str:
    """Say what an exception means without any value that it may carry."""
    if isinstance(error, Fault | UndefinedError | TemplateSyntaxError):
        return str(error.message if isinstance(error, UndefinedError | TemplateSyntaxError) else error)
    if isinstance(error, SecurityError):
        return "the sandbox forbids this access"
    for kind, text in _KINDS:
        if isinstance(error, kind):
            return f"{text} ({type(error).__name__})"
    return type(error).__name__


_UNDEFINED = re.compile(r"'(\w+)' is undefined")


def render_error(error: Exception, name: str, suggest: Callable[[str], str]) -> RenderError:
    """Translate an exception from inside a rendering of the template `name`; its own text is never passed on.

    `suggest` returns what is added to the message on an undefined name.
    """
    reason = describe(error)
    undefined = _UNDEFINED.fullmatch(reason)
    if undefined is not None:
        reason += suggest(undefined[1])
    place = where(error.__traceback__)
    if place is None:
        line = error.lineno if isinstance(error, TemplateSyntaxError) else None
        return RenderError(name, line, reason)
    inner, text, line, ordinal = place
    source = quoted_source(text, line, ordinal)
    return RenderError(inner, line, f"{reason}: {source}" if source else reason)
