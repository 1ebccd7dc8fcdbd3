import json
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ctemplate.changes import Command
from ctemplate.render.faults import Refusal
from ctemplate.render.formats import FORMATS, encode_json, infer

TEXT = st.text(max_size=40) | st.text(alphabet="ab \"'\\$`;{}[]#:,-\n\t!&*?|>%@.=~0", max_size=20)


@pytest.mark.parametrize(
    ("destination", "command", "expected"),
    [
        ("/etc/nginx/conf.d/app.conf", None, "nginx"),
        ("/etc/haproxy/haproxy.cfg", None, "haproxy"),
        ("/etc/keepalived/keepalived.conf", "systemctl reload keepalived", "keepalived"),
        ("/tmp/out.conf", "nginx -s reload", "nginx"),
        ("/tmp/out.conf", "sudo systemctl reload haproxy", "haproxy"),
        ("/etc/nginx/map.json", "nginx -s reload", "json"),
        ("/srv/x.yml", None, "yaml"),
        ("/srv/x.YAML", None, "yaml"),
        ("/srv/app.env", None, "shell"),
        ("/srv/x.sh", None, "shell"),
        ("/srv/motd", "echo done", "text"),
        ("/srv/motd", None, "text"),
    ],
)
def test_a_format_is_inferred(destination, command, expected):
    assert infer(Path(destination), None if command is None else Command(command)) == expected


ACCEPTED = ["10.0.0.1", "web-1.node.consul", "/a/b", "8080", "a_b", "a=b", "2024"]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("value", ACCEPTED)
def test_every_format_takes_plain_words(name, value):
    expected = Refusal if (name, value) == ("keepalived", "/a/b") else None
    if expected is None:
        assert FORMATS[name].check(value) == value
    else:
        with pytest.raises(expected):
            FORMATS[name].check(value)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "text"])
@pytest.mark.parametrize(
    "value",
    ["a\nb", "a\n", "\na", "a\x00", "a;b", 'a"b', "a'b", "a`b", "a$b", "a{b", "a#b", "a\\b", "\ue000", "a" * 70000],
)
def test_no_format_takes_what_has_a_meaning_somewhere(name, value):
    with pytest.raises(Refusal) as caught:
        FORMATS[name].check(value)
    assert value not in str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
@given(value=TEXT)
def test_a_refusal_never_holds_the_value(name, value):
    try:
        FORMATS[name].check(f"s3cr3t{value}s3cr3t")
    except Refusal as refusal:
        assert "s3cr3t" not in str(refusal)


@pytest.mark.parametrize(
    ("name", "value"), [("haproxy", "-a"), ("keepalived", "-a"), ("shell", "-rf"), ("yaml", "- a")]
)
def test_a_leading_dash_is_refused_where_it_has_a_meaning(name, value):
    with pytest.raises(Refusal):
        FORMATS[name].check(value)


@given(value=TEXT)
def test_a_bare_value_in_json_stays_a_string(value):
    if FORMATS["json"].bare.fullmatch(value):
        assert json.loads(f'["{value}", 1]') == [value, 1]


@given(value=TEXT)
def test_a_bare_value_in_yaml_stays_one_scalar(value):
    if value and FORMATS["yaml"].bare.fullmatch(value):
        for text in (
            f"a: {value}\nb: 1\n",
            f"{value}: 1\nb: 1\n",
            f"- {value}\n- 1\n",
            f'a: "{value}"\nb: 1\n',
            f"[{value}, 1]\n",
        ):
            nodes = list(yaml.compose(text).value)
            assert len(nodes) == 2
            last = [node for pair in nodes for node in (pair if isinstance(pair, tuple) else (pair,))]
            assert all(isinstance(node, yaml.ScalarNode) for node in last)


@given(value=TEXT)
def test_encoded_json_is_read_back_from_json_and_yaml(value):
    encoded = encode_json({"a": [value]})
    assert json.loads(encoded) == {"a": [value]}
    assert "\n" not in encoded
    assert yaml.safe_load(encoded) == {"a": [value]}


def test_a_quoted_value_is_one_word_of_a_shell():
    value = "a b'c\"d$(e)`f`\\;\n*~#"
    script = f"printf '[%s]' {FORMATS['shell'].quote(value)}"
    assert subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True).stdout == f"[{value}]".encode()
