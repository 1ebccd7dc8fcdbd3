"""Proves at start that the value check holds, because it stands on hooks of Jinja2 that are not documented.

A few templates print a hostile value by each kind of way out. If one of them passes, or a harmless one
does not, ctemplate does not run.
"""

from __future__ import annotations

import functools

from ctemplate.errors import ConfigError
from ctemplate.model import Instance, Snapshot
from ctemplate.render.environment import CheckedEnvironment, make_environment
from ctemplate.render.faults import Fault
from ctemplate.render.filters import install
from ctemplate.render.formats import FORMATS
from ctemplate.render.grammars import GRAMMARS
from ctemplate.render.positions import verify
from ctemplate.render.reads import Pass

_HOSTILE = "a; include /etc/passwd;"
_ATTACKS = (
    "x {{ bad }};",
    "x {{ bad ~ 'a' }};",
    "x {{ 'a' + bad }};",
    "x {{ '%s' % bad }};",
    "x {{ '{}'.format(bad) }};",
    "x {{ [bad]|join(' ') }};",
    "x {{ 'a'|replace('a', bad) }};",
    "{% macro m(v) %}x {{ v }};{% endmacro %}{{ m(bad) }}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}x {{ bad }};{% endcall %}",
    "{% set v %}x {{ bad }};{% endset %}{{ v }}",
    "{% filter replace('y', bad) %}y;{% endfilter %}",
    "{% block b %}x {{ bad }};{% endblock %}",
    "{% macro m() %}{% endmacro %}{% call(x) bad.__str__() %}{% endcall %}",
    "{{ word }} x;",
    "{% macro m(v) %}{{ v }} x;{% endmacro %}{{ m(word) }}",
    'x "{{ bad|quote }}";',
    "{% for v in [bad] %}x {{ v }};{% endfor %}",
)
_UNMARKED_ATTACKS = ("x {{ one.name }} {{ word }} {{ bad }};", "x {{ evil.name }};")
"""Where output is not marked, strings, numbers and what instances have go a shorter way."""
_UNMARKED_HARMLESS, _UNMARKED_EXPECTED = "x {{ one.name }} {{ one.port }} {{ word }};", "x word 1 word;"
_HARMLESS = (
    "{% macro m(v) %}x {{ v }} {{ bad|quote }};{% endmacro %}{{ m(word) ~ ' y z;' }}"
    "{% for v in [word, 1] if v %}x {{ v }};{% endfor %}"
)
_EXPECTED = 'x word "a; include /etc/passwd;"; y z;x word;x 1;'


def _render(environment: CheckedEnvironment, text: str) -> str:
    environment.noted.end()  # of a template that failed
    environment.current = Pass(Snapshot(answers={}), left_out=frozenset(), on_lack=lambda: None)
    template = environment.main("self-test", text)
    one, evil = (Instance(id="i", name=name, address="::1", port=1) for name in ("word", _HOSTILE))
    names = {"bad": _HOSTILE, "word": "word", "one": one, "evil": evil}
    output = "".join(template.root_render_func(template.new_context(names)))
    if not environment.noted.end():
        raise Fault("a noted value is refused")
    return verify(GRAMMARS["nginx"], output)


@functools.cache
def self_test(*, sandbox: bool) -> None:
    """Raise `ConfigError` if a hostile template passes in an environment of this kind."""
    _test(_ATTACKS, _HARMLESS, _EXPECTED, sandbox=sandbox, marking=True)
    _test(_UNMARKED_ATTACKS, _UNMARKED_HARMLESS, _UNMARKED_EXPECTED, sandbox=sandbox, marking=False)


def _test(attacks: tuple[str, ...], harmless: str, expected: str, *, sandbox: bool, marking: bool) -> None:
    environment = make_environment(
        FORMATS["nginx"], sandbox=sandbox, trim_blocks=True, lstrip_blocks=True, marking=marking
    )
    environment.check_later(True)  # what can be; the marking one does not
    install(environment)
    for attack in attacks:
        try:
            _render(environment, attack)
        except Exception:  # noqa: S112 - any exception means that nothing came out
            continue
        raise ConfigError(
            "self-test: a hostile template was rendered, so values are not checked; "
            "the installed Jinja2 or MarkupSafe does not fit, install the versions that ctemplate asks for"
        )
    try:
        passed = _render(environment, harmless) == expected
    except Exception:
        passed = False
    if not passed:
        raise ConfigError("self-test: a harmless template was refused; install the Jinja2 that ctemplate asks for")
