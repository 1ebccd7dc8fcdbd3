"""Values that passed their check and are cut, joined or put between quotes afterwards."""

import pytest

from ctemplate.model import Failed, Rendering

BAD = "a; include /etc/passwd; b"
M = "{% macro m(v) %}{{ v }}{% endmacro %}"
Q = "{% macro q(v) %}{{ v|quote }}{% endmacro %}"


@pytest.mark.parametrize("sandbox", [False, True], ids=["plain", "sandbox"])
@pytest.mark.parametrize(
    ("format_", "text", "value"),
    [
        ("nginx", "x {{ '%.5s' % (v|quote) }} {{ v|quote }};", BAD),
        ("nginx", "x {{ '%(k).5s' % {'k': v|quote} }} {{ v|quote }};", BAD),
        ("nginx", "x {{ '%5.3r' % v }};", "abc"),
        ("nginx", "{% for l in (v|quote).splitlines() %}x {{ l }};{% endfor %}", "a\u2028; include x; y"),
        ("nginx", "{% for l in (v|quote).splitlines(true) %}x {{ l }};{% endfor %}", "a\u2028; include x; y"),
        ("nginx", "{% for l in (v|quote).splitlines(keepends=true) %}x {{ l }};{% endfor %}", "a\x85; include x; y"),
        ("nginx", Q + "x {{ q(v)|indent(2) }};", "a\u2028; include x; y"),
        ("nginx", "x {{ (v|quote) * 2 }};", "b c"),
        ("nginx", M + "x {{ m(v)|trim('a') }};", "aaa"),
        ("haproxy", M + "x {{ m(v)|replace('a', '') }} y\n", "aaa"),
        ("yaml", "{{ v }}: 1\n", "y" * 1001),
        ("nginx", "x {{ (v|quote) ~ (v|quote) }};", "b c"),
        ("haproxy", M + "acl x path {{ m(v)|trim('a') }} /etc/passwd\n", "a-f"),
        ("haproxy", M + "acl x path {{ m(v)|replace('a', '') }} /etc/passwd\n", "a-f"),
        ("haproxy", M + "acl x path {{ m(v).lstrip('a') }} /etc/passwd\n", "a-f"),
        ("haproxy", "{% for l in (v|quote).splitlines(true) %}x {{ l }}\n{% endfor %}", "a\u2028 b"),
        ("shell", "x {{ (v|quote).splitlines(true)|first }} {{ v|quote }}", "a\n$(id)"),
        ("shell", "x {{ '%.3s' % (v|quote) }} {{ v|quote }}", "a $(id)"),
        ("shell", "# {{ v|quote }}\n", "a\nid\n"),
        ("shell", "x=1 # {{ v|quote }}\n", "a\nid\n"),
        ("shell", 'A="{{ v|quote }}"\n', "$(id)"),
        ("shell", "A='{{ v|quote }}'\n", ";id"),
        ("shell", 'A="x {{ v|quote }} y"\n', "$(id)"),
        ("shell", "cat <<EOF\n{{ v|quote }}\nEOF\n", "$(id)"),
        ("shell", "cat <<'E'\ndon't\nE\necho {{ v|quote }}\n", "$(id)"),
        ("shell", "echo \\{{ v|quote }}\n", "; id"),
        ("json", '["{{ v|quote }}"]', ", 1, {}, "),
        ("json", '["{{ v|to_json }}"]', ", 1, {}, "),
        ("json", '["a {{ v|to_json }} b"]', ", 1, {}, "),
        ("json", '["\\"{{ v|to_json }}"]', ", 1, {}, "),
        ("json", "{{ '%.3s' % (v|quote) }}", "abcdef"),
        ("yaml", 'a: ["{{ v|quote }}"]\n', ", 1, {}, "),
        ("yaml", "a: ['{{ v|to_json }}']\n", "x"),
        ("yaml", "a: x{{ v|to_json }}\n", "b: c"),
        ("yaml", "# {{ [v]|to_json(indent=1) }}\n", "b"),
        ("yaml", "# {{ [v]|to_yaml }}\n", "b"),
        ("yaml", "a: {{ '%.2s' % v }}\n", "a:b"),
        ("yaml", M + "a: {{ m(v)|trim('b') }}\n", "a:b"),
    ],
)
def test_a_value_that_was_cut_or_quoted_twice_is_refused(render, format_, text, value, sandbox):
    result = render(text, format=format_, vars={"v": value}, sandbox=sandbox)
    assert isinstance(result, Failed), result
    assert "passwd; b" not in result.reason
    assert "$(id)" not in result.reason


@pytest.mark.parametrize(
    ("format_", "text", "value", "expected"),
    [
        ("nginx", "x {{ '%5.1f' % 2.25 }} {{ '%.2f' % v }};", 1.5, "x   2.2 1.50;"),
        ("nginx", "x {{ '100%.s' }} {{ v }};", "a", None),
        ("nginx", "x {{ 'a' ~ -5 }} {{ -1.5 ~ '' }};", "a", "x a-5 -1.5;"),
        ("haproxy", "x {{ '' ~ -5 }}\n", "a", "x -5\n"),
        ("haproxy", "x {{ (v|quote) ~ (v|quote) }}\n", "b c", "x 'b c''b c'\n"),
        ("shell", "A={{ v|quote }} # it's {{ v }}\n", "a", "A=a # it's a\n"),
        ("shell", 'A="x" B={{ v|quote }}\n', "a b", "A=\"x\" B='a b'\n"),
        ("shell", "A=\\\"{{ v|quote }}\n", "a b", "A=\\\"'a b'\n"),
        ("shell", "cat <<EOF\ndon't {{ v }}\nEOF\n", "a", "cat <<EOF\ndon't a\nEOF\n"),
        ("shell", "cat <<< {{ v|quote }}\n", "a b", "cat <<< 'a b'\n"),
        ("shell", "cat < {{ v|quote }}; x={{ v|quote }}\n", "a b", "cat < 'a b'; x='a b'\n"),
        ("shell", "{{ v }}={{ v|quote }}\n", "a", "a=a\n"),
        ("json", '{"a":{{ v|to_json }}, "b {{ v }}": "{{ v }}"}', "c", '{"a":"c", "b c": "c"}'),
        ("json", '{"a": {{ [v]|to_json(indent=2)|indent(2) }}}', "c", '{"a": [\n    "c"\n  ]}'),
        ("json", "[{% for x in [v, v] %}{{ x|to_json }}{{ ', ' if not loop.last }}{% endfor %}]", "c", '["c", "c"]'),
        ("yaml", "a: {{ v|to_json }} # it's\nb: 'x {{ v }}'\n", "c: d", None),
        ("yaml", "{{ v|to_json }}: {{ v|to_json }}\nj: {\"a\":{{ v|to_json }}}\n", "c", '"c": "c"\nj: {"a":"c"}\n'),
        ("yaml", "a:\n  {{ [v]|to_yaml|trim|indent(2) }}\nb: don't {{ v }}\n", "c", "a:\n  - c\nb: don't c\n"),
        ("yaml", "{{ [v]|to_yaml }}", "-\ue000", '- "-\\uE000"\n'),
        ("yaml", "a: {{ v|to_yaml }}b: 1\n", "c", "a: c\nb: 1\n"),
    ],
)  # fmt: skip
def test_a_value_in_its_place_is_printed(render, format_, text, value, expected):
    result = render(text, format=format_, vars={"v": value})
    if expected is None:
        return
    assert isinstance(result, Rendering), result
    assert result.content.decode() == expected


@pytest.mark.parametrize("proof", ["", "{% macro m() %}{% endmacro %}"], ids=["proved", "marked"])
def test_keepalived_gets_no_line_whose_end_it_would_read_as_a_line_of_its_own(render, proof):
    text = proof + "a {% for v in values %}{{ v }} {% endfor %}\n"
    assert render.text(text, format="keepalived", vars={"values": ["x" * 97] * 10})
    reason = render.reason(text, format="keepalived", vars={"values": ["x" * 97] * 11})
    assert "longer than 1000 bytes" in reason


@pytest.mark.parametrize("directive", ["ssl_certificate_key", "proxy_ssl_certificate_key", "ssl_certificate"])
def test_a_certificate_may_be_named_by_a_value_but_not_begun(render, directive):
    v = {"v": "engine:/tmp/x"}
    assert render.text(f"{directive} /etc/ssl/{{{{ v }}}}.key; a {{{{ v }}}};", vars={"v": "web"})
    assert render.text(f'{directive} "/etc/ssl/{{{{ v }}}}";', vars={"v": "web"})
    assert "begins what is given" in render.reason(f"{directive} {{{{ v }}}};", vars=v)
    assert "begins what is given" in render.reason(f'{directive} "{{{{ v }}}}";', vars=v)
    assert "begins what is given" in render.reason(f"{directive} {{{{ v|quote }}}};", vars=v)


@pytest.mark.parametrize(
    ("format_", "line"),
    [
        ("nginx", "lua_package_path {};"), ("nginx", "perl_modules {};"), ("nginx", "js_import a from {};"),
        ("nginx", "init_by_lua_file {};"), ("nginx", "env {};"), ("nginx", "modsecurity_rules_file {};"),
        ("nginx", '"include" {};'), ("nginx", "http {{ include {}; }}"), ("nginx", "ssl_engine {};"),
        ("haproxy", "lua-load-per-thread {}\n"), ("haproxy", "ssl-engine {}\n"), ("haproxy", "module-load {}\n"),
        ("haproxy", "external-check command {}\n"), ("haproxy", "setenv A {}\n"),
        ("keepalived", "notify_master {}\n"), ("keepalived", "quorum_down {}\n"), ("keepalived", "include {}\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("written", ["{{ v }}", "a{{ v }}", "{{ v|quote }}", "{{ m(v) }}", "{{ '%s' % v }}"])
def test_what_runs_or_reads_is_named_by_the_author_only(render, format_, line, written):
    text = M + line.format(written)
    assert "only the author's own text may be" in render.reason(text, format=format_, vars={"v": "tmp-x"})
