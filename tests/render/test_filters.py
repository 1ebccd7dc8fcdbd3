import pytest

from ctemplate.model import KeyValue, Kind, Query

VARIABLES = {"data": {"b": [1, "x"], "a": {"c": True}}, "word": "web", "b64": "d2Vi", "nasty": 'a"b\n{}'}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("data|to_json", '{"b": [1, "x"], "a": {"c": true}}'),
        ("[1]|to_json(indent=1)", "[\n 1\n]"),
        ("data|to_yaml", "b:\n- 1\n- x\na:\n  c: true\n"),
        ("{'a': 1}|to_toml", "a = 1\n"),
        ("('{\"a\": [2]}'|from_json).a[0]", "2"),
        ("(''|from_json)|length", "0"),
        ("('a: [2]'|from_yaml).a[0]", "2"),
        ("' a,b '|split(',')|join('|')", "a|b"),
        ("''|split(',')|length", "0"),
        ("'a b'|split|last", "b"),
        ("word|regex_replace('w(.)b', '\\\\1')", "e"),
        ("word|regex_search('e.')", "eb"),
        ("word|regex_search('w(.)')", "e"),
        ("word|regex_search('z')|length", "0"),
        ("word|regex_match('e')", "True"),
        ("word|sha256sum", "4b5e57f6eb2f42b9039b3d1e13929295f231749c510cbe341cd68036d9af97e2"),
        ("word|md5sum", "2567a5ec9705eb7ac2c984033e06189d"),
        ("word|b64encode", "d2Vi"),
        ("b64|b64decode", "web"),
        ("'w7_DvyE'|b64url_decode", "ÿÿ!"),
        ("word|trim_prefix('w')|trim_suffix('b')", "e"),
        ("'a\nb\n\nc'|indent(2)", "a\n  b\n\n  c"),
        ("'a\nb'|indent('> ', first=true)", "> a\n> b"),
            ("'7'|int + 1", "8"),
    ],
)  # fmt: skip
def test_a_filter_does_what_its_name_says(render, expression, expected):
    assert render.text(f"{{{{ {expression} }}}}", vars=VARIABLES, format="text") == expected


@pytest.mark.parametrize(
    ("format_", "expected"),
    [
        ("nginx", 'x "it\'s \\"so\\" \\\\ {};"'),
        ("haproxy", "x 'it'\\''s \"so\" \\ {};'"),
        ("json", 'x "it\'s \\"so\\" \\\\ {};"'),
        ("yaml", 'x "it\'s \\"so\\" \\\\ {};"'),
        ("shell", "x 'it'\"'\"'s \"so\" \\ {};'"),
    ],
)
def test_quote_quotes_for_the_format(render, format_, expected):
    assert render.text("x {{ v|quote }}", vars={"v": 'it\'s "so" \\ {};'}, format=format_) == expected


@pytest.mark.parametrize(
    ("format_", "value"), [("nginx", "$host"), ("nginx", "a\nb"), ("keepalived", 'a"b'), ("text", "a")]
)
def test_quote_refuses_what_the_format_cannot_quote(render, format_, value):
    assert "quot" in render.reason("x {{ v|quote }}", vars={"v": value}, format=format_)


def test_instances_are_grouped_by_tag_port_and_meta(render):
    answers = {
        render.service(): (
            render.instance(1, tags=("a", "b"), meta={"zone": "x", "n": "7"}),
            render.instance(2, tags=("a",), meta={"zone": "y z"}),
        )
    }
    text = (
        "{% set s = service('web') %}{% for t, i in (s|by_tag).items() %}{{ t }}={{ i|length }} {% endfor %}"
        "{% for t, i in (s|by_meta('zone,n|int')).items() %}{{ t }}={{ i|length }} {% endfor %}"
        "{% for t, i in (s|by_meta('none')).items() %}{{ t }}={{ i|length }} {% endfor %}"
        "{% for t, i in (s|by_port).items() %}{{ t }}={{ i|length }} {% endfor %}"
    )
    assert render.text(text, answers, format="text").split() == [
        "a=2", "b=1", "x_00007=1", "y_z_00000=1", "_no_none_=2", "8001=1", "8002=1",
    ]  # fmt: skip


def test_key_values_are_grouped_by_folder(render):
    answers = {Query(kind=Kind.KEYS, name="a"): (KeyValue("top", "0"), KeyValue("x/p", "1"), KeyValue("x/q/r", "2"))}
    text = (
        "{% for f, pairs in (tree('a')|by_key).items() %}{{ f }}: {{ pairs|join(' ') }} {{ pairs.p.value }}{% endfor %}"
    )
    assert render.text(text, answers, format="text") == "x: p q/r 1"


def test_structs_are_encoded_with_their_fields(render):
    answers = {render.service(): (render.instance(1),)}
    text = render.text(
        "{{ service('web')|map(attribute='port')|list|to_json }}{{ service('web')[0]|to_json }}", answers, format="json"
    )
    assert text.startswith('[8001]{"id": "web-1", "name": "web", "address": "10.0.0.1", "port": 8001')


@pytest.mark.parametrize("format_", ["json", "yaml"])
def test_encoded_data_are_trusted_where_the_encoding_is_the_format(render, format_):
    assert render.text("x: {{ v|to_json }}", vars={"v": 'a"b\n- c: d'}, format=format_) == 'x: "a\\"b\\n- c: d"'


def test_yaml_in_json_is_data(render):
    assert "refuses" in render.reason("{{ v|to_yaml }}", vars={"v": {"a": '1, "b": 2'}}, format="json")


def test_what_cannot_be_encoded_says_so_without_the_value(render):
    reason = render.reason("{{ service|to_json }}", format="json")
    assert "cannot be encoded" in reason
    assert "there is no null" in render.reason("{{ {'a': none}|to_toml }}", format="text")
