"""Arbitrary registrations through templates: what is read back has the directives that the author wrote, and no other.

Each snapshot is rendered twice by each template: as somebody hostile registered it, and with a harmless
word in the place of each different string. Parsed, both must have one shape. An instance that was left
out is left out of the second one too; a template that refuses to render is safe.
"""

from pathlib import Path

import pytest
from hypothesis import given, settings
from registrations import Harmless, registrations, snapshot
from shapes import NotParsed, haproxy, json_, keepalived, nginx, shell, yaml_

from ctemplate.model import Failed, LeftOut, Rendering
from ctemplate.render import Renderer
from ctemplate.settings import Template

SHIPPED = Path(__file__).parents[2] / "templates"
LOOP = "{% for i in service('web') %}"
M = "{% macro m(v) %}{{ v }}{% endmacro %}"
FIELDS = ["i.id", "i.name", "i.address", "i.endpoint", "i.node", "i.tags[0]", "i.meta.k", "key('k')", "s.name"]


def everywhere(text, fields=FIELDS):
    """The idiom once for each field, in one template that survives the refusal of none of them."""
    return [text.replace("F", field) for field in fields]


NGINX = [
    (SHIPPED / "nginx-http.conf.j2").read_text(),
    (SHIPPED / "nginx-stream.conf.j2").read_text(),
    *everywhere(LOOP + "{% set s = services()[0] %}server {{ F }} x;\n{% endfor %}"),
    *everywhere(
        LOOP + '{% set s = services()[0] %}x {{ F|quote }} "a {{ F }}" # {{ F }} {{ F|quote }}\n;\n{% endfor %}'
    ),
    M + LOOP + "x {{ m(i.id) ~ '-' ~ m(i.node) }} {{ m(i.id)|upper }};{% endfor %}",
    M + LOOP + "x {{ m(i.id)|trim('a') }} {{ m(i.meta.k|quote)|trim }};{% endfor %}",
    M + LOOP + "{% filter indent(2) %}x {{ m(i.meta.k|quote) }}\n {{ i.id }};\n{% endfilter %}{% endfor %}",
    LOOP + "{{ 'x %s %s;' % (i.id, i.meta.k|quote) }}{{ 'y {} {};'.format(i.node, i.id|quote) }}{% endfor %}",
    LOOP + "{{ i.id }} x;\n{% endfor %}",
    LOOP + "{{ i.meta.k|quote }} x;\n{% endfor %}",
    LOOP + "x {{ i.meta.k }}{ y; }\n{% endfor %}",
    LOOP + "x a{{ i.meta.k|quote }};\n{% endfor %}",
    LOOP + 'x "{{ i.meta.k|quote }}";\n{% endfor %}',
    LOOP + "include {{ i.id }};\n{% endfor %}",
    LOOP + "x {{ i.tags|join(' ') }} {{ i.meta.values()|join(';') }};\n{% endfor %}",
    LOOP + "{% for l in (i.meta.k|quote).splitlines(true) %}x {{ l }};{% endfor %}{% endfor %}",
    LOOP + "x {{ i.meta.k|regex_replace('[^a-z]', '') }} {{ i.meta.k[:3] }};\n{% endfor %}",
    LOOP + "x {{ i.meta.k|truncate(5, true, ';') }} {{ (i.id ~ ' y')|replace('y', i.meta.k) }};\n{% endfor %}",
    "{% set v %}x {{ key('k')|quote }} {{ key('k') }};{% endset %}{{ v }}{{ v|replace('x', 'y') }}",
    "{% for p in ls('f') %}set ${{ p.path }} {{ p.value|quote }};\n{% endfor %}",
    "{% for p in ls('f') %}x ${ {{- p.path }}} ${{ p.path }}{ {{- p.value }};}\n{% endfor %}",
    "{% for p in ls('f') %}x \\{{ p.path }} a\\ {{ p.path }} 'b{{ p.value }}\\'' c;\n{% endfor %}",
]
HAPROXY = [
    (SHIPPED / "haproxy.cfg.j2").read_text(),
    *everywhere(LOOP + "{% set s = services()[0] %}  server {{ F }} x # {{ F }} {{ F|quote }}\n{% endfor %}"),
    *everywhere(
        LOOP + "{% set s = services()[0] %}  x {{ F|quote }} \"a {{ F }}\" 'b {{ F }}' c{{ F|quote }}d\n{% endfor %}"
    ),
    M + LOOP + "x {{ m(i.id)|trim('a') }} {{ m(i.meta.k|quote) }} {{ m(i.id) ~ m(i.id|quote) }}\n{% endfor %}",
    LOOP + "{{ i.id }} x\n{% endfor %}",
    LOOP + "x \\{{ i.meta.k|quote }}\n{% endfor %}",
    LOOP + "x '{{ i.meta.k|quote }}'\n{% endfor %}",
    LOOP + "{{ 'x %s %s\n' % (i.id, i.meta.k|quote) }}{% endfor %}",
    LOOP + "x {{ i.tags|join(' ') }} {{ i.meta.values()|map('quote')|join(' ') }}\n{% endfor %}",
    "{% for p in ls('f') %}x {{ p.path }} {{ p.value|quote }} {{ '%.4s' % (p.value|quote) }}\n{% endfor %}",
    "{% for p in ls('f') %}x {{ (p.value|quote).splitlines(true)|first }} {{ p.value|quote }}\n{% endfor %}",
]
KEEPALIVED = [
    *everywhere(LOOP + "{% set s = services()[0] %}real_server {{ F }} 80 {\n  weight 1 # {{ F }}\n}\n{% endfor %}"),
    *everywhere(LOOP + '{% set s = services()[0] %}x {{ F|quote }} {\n  y "{{ F }}"\n}\n{% endfor %}'),
    "a " + LOOP + "{{ i.id }} {{ i.node }} {{ i.meta.k }} {% endfor %}\n",
    LOOP + "{{ i.id }} x\n{% endfor %}",
]
JSON = [
    "["
    + LOOP
    + '{"id": "{{ i.id }}", "k": {{ i.meta.k|to_json }}, "{{ i.node }}": [{{ i.tags|map(\'to_json\')|join(\',\') }}]},{% endfor %}1]',
    "[{{ service('web')|to_json }}, {{ service('web')|to_json(indent=2)|indent(4) }}, {{ key('k')|quote }}]",
    "[\"{{ key('k')|to_json }}\", \"{{ key('k') }}\"]",
    "[" + LOOP + '"{{ i.meta.k|quote }}", {% endfor %}1]',
    M
    + "["
    + LOOP
    + "\"{{ m(i.id)|trim('a') }}\", {{ m(i.meta.k|quote)|trim }}, {{ '%s' % (i.node|quote) }}, {% endfor %}1]",
]
YAML = [
    "a:\n"
    + LOOP
    + "- id: {{ i.id }}\n  k: {{ i.meta.k|to_json }} # {{ i.node }}\n  q: \"{{ i.node }}\"\n  s: '{{ i.id }}'\n{% endfor %}",
    "a:\n" + LOOP + "- {{ i.id }}: {{ i.node }}\n  k: [{{ i.id }}, {{ i.meta.k|quote }}]\n{% endfor %}",
    "{{ service('web')|to_yaml }}",
    "a: {{ key('k')|to_yaml }}b: {{ [key('k')]|to_yaml|trim|indent(2) }}\n",
    "a:\n" + LOOP + '- "{{ i.meta.k|quote }}"\n- x{{ i.meta.k|quote }}\n{% endfor %}',
    "# {{ key('k')|quote }} {{ [key('k')]|to_json(indent=1) }}\na: 1\n",
    M + "a:\n" + LOOP + "- {{ m(i.id)|trim('a') }}\n- {{ m(i.id) ~ m(i.node) }}\n- {{ '%.2s' % i.id }}\n{% endfor %}",
]
SHELL = [
    LOOP + "seen {{ i.id }} {{ i.meta.k|quote }} \"{{ i.node }}\" '{{ i.id }}' x{{ i.meta.k|quote }}y # {{ i.id }}\n{% endfor %}",
    LOOP + "A={{ i.id }} B={{ i.meta.k|quote }}; seen \"$A\" \"$B\"\n{% endfor %}",
    "seen \"{{ key('k')|quote }}\"\n",
    "seen 1 # {{ key('k')|quote }}\n",
    "seen \\{{ key('k')|quote }}\n",
    "read A <<E || :\n{{ key('k')|quote }} {{ key('k') }}\nE\nseen \"$A\"\n",
    "read A <<E || :\ndon't {{ key('k') }}\nE\nseen \"$A\"\n",
    M + "seen {{ m(key('k')|quote) }} {{ m(key('k'))|trim }} {{ key('k')|quote ~ key('k')|quote }}\n",
    "seen {{ '%.3s' % (key('k')|quote) }} {{ key('k')|quote }}\n",
    "seen {{ (key('k')|quote).splitlines(true)|first }} {{ key('k')|quote }}\n",
]  # fmt: skip
TEMPLATES = {
    "nginx": (nginx, NGINX), "haproxy": (haproxy, HAPROXY), "keepalived": (keepalived, KEEPALIVED),
    "json": (json_, JSON), "yaml": (yaml_, YAML), "shell": (shell, SHELL),
}  # fmt: skip


def first_words(shape):
    for word, _, *block in shape:
        yield word
        yield from first_words(block[0] or []) if block else ()


@pytest.mark.torture
@pytest.mark.parametrize("format_", TEMPLATES)
def test_what_is_read_back_has_the_shape_that_the_author_wrote(format_, torture, figure):
    parse, texts = TEMPLATES[format_]
    variables = {"ports": {"web": 80}, "domain": "d"}
    templates = [
        Template(contents=text, destination=Path(f"/{number}"), format=format_, vars=variables)
        for number, text in enumerate(texts)
    ]
    renderer = Renderer(templates, environ={})
    printed = refused = 0

    @settings(max_examples=(17_000 if torture else 500) // len(texts))
    @given(registrations())
    def check(registered):
        nonlocal printed, refused
        services, value, pairs = registered
        harmless = Harmless()
        for template in templates:
            hostile = renderer.resolve(template, snapshot(services, value, pairs))
            if isinstance(hostile, Failed):
                refused += 1
                continue
            assert isinstance(hostile, Rendering), hostile
            plain = renderer.resolve(
                template,
                snapshot(
                    {harmless(name): tuple(map(harmless.instance, some)) for name, some in services.items()},
                    harmless(value),
                    [(harmless(path).replace("/", "."), harmless(text)) for path, text in pairs],
                    left_out=[
                        LeftOut(harmless(gone.service), harmless(gone.node), harmless(gone.id), "")
                        for gone in hostile.left_out
                    ],
                ),
            )
            assert isinstance(plain, Rendering), plain
            try:
                expected = parse(plain.content.decode())
            except NotParsed:
                continue  # no text of the format, whatever the values are
            assert parse(hostile.content.decode()) == expected, (template.contents, hostile.content.decode())
            if format_ in ("nginx", "haproxy", "keepalived"):
                assert not any("z" in word for word in first_words(expected))
            printed += 1

    check()
    assert printed > (1000 if torture else 20), "the templates refused nearly everything"
    figure(f"generated inputs, {format_}", printed + refused)
    figure(f"injected directives, {format_}", 0)
