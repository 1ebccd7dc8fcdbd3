"""Registrations that are to write configuration, seen by the real servers; and that no checker sees what is refused."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registrations import registrations, snapshot
from shapes import NotParsed, nginx

from ctemplate.model import Failed
from ctemplate.render import Renderer
from ctemplate.settings import Template

RUN_OR_READ = {
    "nginx": [
        "include V;", "load_module V;", "ssl_engine V;", "perl_modules V;",
        "http { server { content_by_lua_file V; } }",
        "http { js_import a from V; }", "http { server { ssl_certificate_key V; } }", 'include "/etc/V";', "V a;",
    ],
    "haproxy": ["global\n  lua-load V\n", "global\n  ssl-engine V\n", "program a\n  command V\n", "V\n"],
    "keepalived": ["include V\n", "vrrp_script a {\n  script V\n}\n", "a {\n  notify_up V\n}\n", "V\n"],
}  # fmt: skip

HTTP = """\
{% for i in service("web") %}
log_format f{{ loop.index }} {{ i.id | quote }} "{{ i.node }}" {{ i.meta.k }} {{ i.tags | join(",") }};
# {{ i.id | quote }}
map $host $m{{ loop.index }} {
    default {{ i.meta.k | quote }};
    {% for key, text in i.meta.items() %}a{{ loop.index }} {{ '%s' % (text | quote) }};{% endfor %}

}
{% endfor %}
map $host $k { default {{ key("k") | quote }}; b '{{ key("k") }}'; }
"""
BACKEND = """\
backend last
{% for i in service("web") %}
    acl a{{ loop.index }} path -- {{ i.id | quote }} "{{ i.node }}" '{{ i.meta.k }}' {{ i.meta.k | quote }} # {{ i.id }}
    acl b{{ loop.index }} path -- {{ i.tags | join(" ") }} {{ (i.node ~ " x") | replace("x", i.id) }}
{% endfor %}
    acl k path -- {{ key("k") | quote }} {{ key("k") }}
"""


def test_no_checker_is_run_on_a_file_in_which_a_value_names_what_is_run_or_read(ctemplate, tmp_path):
    """`nginx -t` itself loads modules, so a check that runs is a module that was loaded."""
    tables = []
    for format_, lines in RUN_OR_READ.items():
        for number, line in enumerate(lines):
            name = f"{format_}-{number}"
            table = {
                "contents": line.replace("V", "{{ key('path') }}"),
                "destination": f"out/{name}",
                "format": format_,
                "check": f"touch {tmp_path}/checked-{name}",
                "command": f"touch {tmp_path}/run-{name}",
            }
            tables.append("[[template]]\n" + "".join(f"{key} = {json.dumps(text)}\n" for key, text in table.items()))
    control = f'check = "touch {tmp_path}/checked-control"\n'
    tables.append(f'[[template]]\ncontents = "a {{{{ key(\'path\') }}}};"\ndestination = "out/control"\n{control}')
    (tmp_path / "out").mkdir()
    (tmp_path / "services.yaml").write_text("keys: {path: lib.so}\n")
    (tmp_path / "ctemplate.toml").write_text('catalog = "file:services.yaml"\n' + "\n".join(tables))

    done = ctemplate.run("-once", "-config", tmp_path / "ctemplate.toml")

    assert done.code == 1, done.err
    assert [path.name for path in tmp_path.glob("*checked-*")] == ["checked-control"]
    assert list(tmp_path.glob("run-*")) == []
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["control"]
    assert done.err.count("cannot render") == sum(map(len, RUN_OR_READ.values()))
    assert "lib.so" not in done.err.replace("lib.so;", "")


@pytest.fixture
def taken() -> Any:
    """`taken(format, text, test)`: sees that a server takes what hostile registrations make of a template."""

    def run(format_: str, text: str, test: Any, *, examples: int) -> int:
        template = Template(contents=text, destination=Path("/x"), format=format_)
        renderer = Renderer([template], environ={})
        seen = 0

        @settings(max_examples=examples)
        @given(registrations())
        def check(registered: Any) -> None:
            nonlocal seen
            rendered = renderer.resolve(template, snapshot(*registered))
            if not isinstance(rendered, Failed):
                seen += 1
                test(rendered.content.decode())  # type: ignore[union-attr]

        check()
        assert seen > examples // 10
        return seen

    return run


@pytest.mark.torture
def test_nginx_takes_whatever_was_registered(make_nginx, taken, torture, figure):
    server = make_nginx()

    def test(text: str) -> None:
        (server.conf_d / "a.conf").write_text(text)
        done = server.test()
        assert done.returncode == 0, done.stderr + text

    seen = taken("nginx", HTTP, test, examples=5_000 if torture else 50)
    figure("hostile files that nginx -t took", seen)


@pytest.mark.torture
def test_haproxy_takes_whatever_was_registered(haproxy_binary, tmp_path, free_port, taken, torture, figure):
    base = f"defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n\
frontend f\n  bind 127.0.0.1:{free_port()}\n  default_backend last\n"

    def test(text: str) -> None:
        (tmp_path / "a.cfg").write_text(base + text)
        command = [haproxy_binary, "-c", "-f", str(tmp_path / "a.cfg")]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30)
        assert done.returncode == 0, done.stderr + text

    seen = taken("haproxy", BACKEND, test, examples=5_000 if torture else 50)
    figure("hostile files that haproxy -c took", seen)


PIECES = st.lists(
    st.sampled_from([" ", "\n", "\t", ";", '"', "'", "\\", "$", "#", "# x\n", "a", "bc ", "d;", '"e f"']),
    max_size=8,
).map("".join)  # fmt: skip


@pytest.mark.torture
def test_the_parser_that_judges_reads_as_nginx_does(make_nginx, torture, figure):
    """`index` takes any words, so what nginx complains of is the first word of the next statement.

    Braces are left out: crossplane ends a word at `}`, which nginx does not, and takes what follows a `${a}` for
    a part of it. The shapes that it judges are compared with one another, so neither hides a difference.
    """
    server = make_nginx()
    seen = 0

    @settings(max_examples=5_000 if torture else 300)
    @given(PIECES)
    def check(piece: str) -> None:
        nonlocal seen
        text = f"index a {piece}\nsentinel;\n"
        try:
            shape = nginx(text)
        except NotParsed:
            return
        (server.conf_d / "a.conf").write_text(text)
        said = server.test().stderr
        if re.search(
            r"unexpected|unknown \"\w+\" variable|invalid (variable|number)|duplicate|in \"index\" directive", said
        ):
            return
        seen += 1
        found = re.search(r'unknown directive "(.*?)" in ', said, re.DOTALL)
        if found is None:
            assert [word for word, _, _ in shape] == ["index"], (text, said)
        else:
            assert re.sub(r"\\([\"'\\])", r"\1", shape[1][0]) == found[1], (text, said)

    check()
    assert seen > 50
    figure("texts on which crossplane and nginx agree", seen)
