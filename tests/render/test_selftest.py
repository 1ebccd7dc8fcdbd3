"""A Jinja2 in which the value check does not hold is found at start, in each kind of environment that is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctemplate.errors import ConfigError
from ctemplate.render import selftest
from ctemplate.render.environment import PlainEnvironment, SandboxedEnvironment
from ctemplate.render.printer import Noted
from ctemplate.render.resolve import Renderer
from ctemplate.settings import Template


@pytest.fixture(autouse=True)
def untested():
    selftest.self_test.cache_clear()
    yield
    selftest.self_test.cache_clear()


@pytest.mark.parametrize("sandbox", [False, True])
def test_the_jinja2_that_is_installed_passes(sandbox):
    selftest.self_test(sandbox=sandbox)


def renderer(*sandboxes: bool) -> Renderer:
    templates = [
        Template(contents="x;", destination=Path(f"/nowhere/{number}.conf"), sandbox=sandbox)
        for number, sandbox in enumerate(sandboxes)
    ]
    return Renderer(templates, environ={})


def compiled_by(monkeypatch, kind):
    """Let environments of one kind compile as Jinja2 itself does, so that nothing is checked."""
    import jinja2.compiler

    monkeypatch.setattr(kind, "code_generator_class", jinja2.compiler.CodeGenerator)


@pytest.mark.parametrize(
    ("kind", "sandboxes"),
    [(PlainEnvironment, [False]), (SandboxedEnvironment, [True]), (SandboxedEnvironment, [False, True])],
)
def test_a_kind_whose_values_are_not_checked_is_refused(monkeypatch, kind, sandboxes):
    compiled_by(monkeypatch, kind)

    with pytest.raises(ConfigError, match="self-test"):
        renderer(*sandboxes)


@pytest.mark.parametrize(("kind", "sandbox"), [(PlainEnvironment, True), (SandboxedEnvironment, False)])
def test_a_kind_that_no_template_has_costs_nothing(monkeypatch, kind, sandbox):
    compiled_by(monkeypatch, kind)

    renderer(sandbox)


def test_strings_that_are_noted_and_not_checked_are_found(monkeypatch):
    monkeypatch.setattr(Noted, "end", lambda self: True)

    with pytest.raises(ConfigError, match="hostile"):
        renderer(False)


def test_a_hostile_value_that_passes_is_refused(monkeypatch):
    monkeypatch.setattr(selftest, "verify", lambda grammar, text: text)

    with pytest.raises(ConfigError, match="hostile"):
        renderer(False)
