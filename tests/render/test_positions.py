import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jinja2 import Environment

from ctemplate.model import Rendering
from ctemplate.render.faults import Fault
from ctemplate.render.flow import proved
from ctemplate.render.grammars import GRAMMARS
from ctemplate.render.positions import verify

V, Q, E = "\ue000v\ue002", "\ue001", "\ue002"


@pytest.mark.parametrize(
    "text",
    [
        f"server {V};",
        f"server a{V}b {V}:{V};",
        f"a b; c {V};",
        f"a {{ b {V}; }} c {V};",
        f"a; # {V} x\nb {V};",
        f"a \"x; {V}\" 'y; {V}';",
        f'a "x\\"; y" {V};',
        f"a ${{x}} {V};",
        f"a x}}y {V};",
        f"a x#y; b {V};",
        f'a {Q}"x y"{E};',
        f"a b\n  {V}\n  {V};",
    ],
)
def test_nginx_takes_a_value_as_an_argument(text):
    assert verify(GRAMMARS["nginx"], text) == re.sub("[\ue000-\ue002]", "", text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{V} a;", "first word"),
        (f" \n\t{V};", "first word"),
        (f"a;{V} b;", "first word"),
        (f"a {{{V} b; }}", "first word"),
        (f"a {{ b; }} {V} c;", "first word"),
        (f"ab{V} c;", "first word"),
        (f'"a {V}" c;', "first word"),
        (f"# x\n{V} c;", "first word"),
        (f"a # x\n; {V} c;", "first word"),
        (f'a "x\\""; {V} c;', "first word"),
        (f"include {V};", "`include`"),
        (f"a; load_module x{V};", "`load_module`"),
        (f"content_by_lua_file {V};", "`content_by_lua_file`"),
        (f'a b{Q}"x y"{E};', "inside a word"),
        (f'a "{Q}"x y"{E}";', "inside quotes"),
        (f"a '{Q}\"x y\"{E}';", "inside quotes"),
        (f'a "b"{Q}"x y"{E};', "right after a quote"),
        (f'a \\{Q}"x y"{E};', "after a backslash"),
        (f'{Q}"x y"{E};', "first word"),
    ],
)
def test_nginx_refuses_a_value_in_a_wrong_place(text, message):
    with pytest.raises(Fault, match=re.escape(message)) as caught:
        verify(GRAMMARS["nginx"], text)
    assert "x y" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"  server {V} {V}:{V}\n  server {V}\n",
        f"a # {V}\nb {V}\n",
        f"a '{V}' \"{V}\" b{V}\n",
        f"a b{Q}'x y'{E}\n",
        f"a 'x # y' {V}\n",
    ],
)
def test_haproxy_takes_a_value_as_an_argument(text):
    assert verify(GRAMMARS["haproxy"], text) == re.sub("[\ue000-\ue002]", "", text)


@pytest.mark.parametrize(
    "text",
    [
        f"{V} a\n",
        f"a b\n  {V} c\n",
        f"a{V} c\n",
        f"lua-load {V}\n",
        f"a '{Q}'x y'{E}'\n",
        f"a \"{Q}'x y'{E}\"\n",
        f"a \\{Q}'x y'{E}\n",
        f"# x\n{V}\n",
    ],
)
def test_haproxy_refuses_a_value_in_a_wrong_place(text):
    with pytest.raises(Fault):
        verify(GRAMMARS["haproxy"], text)


@pytest.mark.parametrize("text", [f"a {{ {V} b", f"{V}", f"a b # x\n{V}", f"notify_master {V}", f'script "{V}"'])
def test_keepalived_refuses_a_value_in_a_wrong_place(text):
    with pytest.raises(Fault):
        verify(GRAMMARS["keepalived"], text)


def test_keepalived_takes_a_value_as_an_argument():
    assert verify(GRAMMARS["keepalived"], f"a {{\n  b {V} {V}\n}}\n") == "a {\n  b v v\n}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server {{ v }};", True),
        ("{% for i in x %}server {{ i }}{% if y %} {{ y }}{% endif %};\n{% endfor %}a {{ b }};", True),
        ("{% for i in x %}s {{ i }};{% if y %}{% break %}{% endif %}{% else %}t {{ v }};{% endfor %}", True),
        ("# {{ v }}\na {{ v }};", True),
        ("{{ v }} a;", False),
        ("a {% if x %}b;{% endif %}{{ v }};", False),
        ("{% for i in x %}{{ i }};{% endfor %}", False),
        ("a {% for i in x %}{{ i }}{% if y %};{% endif %} {% endfor %};", False),
        ("a {% for i in x %}{% if y %};{% continue %}{% endif %}{{ i }} {% endfor %};", False),
        ("a{% for i in x %} b;{% break %}{% endfor %}{{ v }}", False),
        ("include {{ v }};", False),
        ("{% macro m() %}{% endmacro %}a {{ v }};", False),
        ("a {{ v|quote }};", False),
    ],
)
def test_a_template_is_proved_by_its_text(text, expected):
    environment = Environment(extensions=["jinja2.ext.loopcontrols"], autoescape=True)
    assert proved(GRAMMARS["nginx"], environment.parse(text)) is expected


def test_trusted_text_with_statements_in_it_is_printed_by_a_proved_template_too(render):
    assert render.text("a {{ b }}{{ '; c' }} {{ b }};", vars={"b": "b"}) == "a b; c b;"
    assert "first word" in render.reason("a {{ b }}{{ '; ' }} {{ b }};", vars={"b": "b"})


def nginx_tokens(text):
    """An nginx tokenizer written from the rules, apart from the one under test: words and marks of structure."""
    tokens, at = [], 0
    while at < len(text):
        char = text[at]
        if char.isspace():
            at += 1
        elif char in ";{}":
            tokens.append(char)
            at += 1
        elif char == "#":
            end = text.find("\n", at)
            at = len(text) if end < 0 else end + 1
        elif char in "\"'":
            found = re.compile(rf"{char}((?:[^{char}\\]|\\.)*){char}", re.DOTALL).match(text, at)
            assert found, "an open quote"
            tokens.append("word")
            at = found.end()
            assert at == len(text) or text[at] in " \t\r\n;{)", "text after a closing quote"
        else:
            found = re.compile(r"(?:\\.|\$\{|[^\s;{\\])+", re.DOTALL).match(text, at)
            assert found, "a backslash at the end"
            at = found.end()
            tokens.append("word")
    return tokens


PIECES = st.sampled_from(
    ["{{ v }}", "{{ v }}", "{{ v|quote }}", " ", "\n", ";", " { ", " } ", '"', "'", "\\", "# ", "a", "a b;", "x ", "$",
     "{{ '; ' }}", "{{ 'a ' ~ v }}", "{{ m(v) }}", "{{ m(v|quote) }}", "{% if v %}b {% endif %}", "{% for i in [v, v] %}{{ i }} {% endfor %}"]
)  # fmt: skip
VALUES = st.text(alphabet="ab.:/-;{}#\"'\\$ \n=", min_size=1, max_size=6)


@given(pieces=st.lists(PIECES, max_size=8), value=VALUES)
def test_no_value_changes_the_structure_of_what_nginx_reads(pieces, value, render_nginx):
    text = "{% macro m(v) %}{{ v }}{% endmacro %}" * ("m(v)" in "".join(pieces)) + "".join(pieces)
    result, harmless = render_nginx(text, value), render_nginx(text, "ab")
    assume(isinstance(result, Rendering))
    assert isinstance(harmless, Rendering)
    try:
        expected = nginx_tokens(harmless.content.decode())
    except AssertionError:
        return  # no configuration whatever the value is
    assert nginx_tokens(result.content.decode()) == expected


@pytest.fixture(scope="module")
def render_nginx(request):
    from pathlib import Path

    from ctemplate.model import Snapshot
    from ctemplate.render import Renderer
    from ctemplate.settings import Template

    def run(text, value):
        template = Template(contents=text, destination=Path("/x"), format="nginx", vars={"v": value})
        return Renderer([template], environ={}).resolve(template, Snapshot(answers={}))

    return run
