from __future__ import annotations

import tomllib

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from ctemplate.config.locate import index_lines, line_of

TEXT = '''\
timeout = "5s"   # one
"log_level" = "info"

[consul]
addr = "x"
ssl.verify = true

[[template]]
source = "a"
contents = """
mode = "not a key"
[not.a.table]
"""
command = ["a",
  "b = c",
]
[template.vars]
x = 1

[[template]]
  mode   = 640
[reload_group."l b"]
atomic = 1
'''


def lines_of(path):
    return line_of(index_lines(TEXT), path)


def test_keys_are_found_where_they_stand():
    tomllib.loads(TEXT)
    assert lines_of(("timeout",)) == 1
    assert lines_of(("log_level",)) == 2
    assert lines_of(("consul",)) == 4
    assert lines_of(("consul", "addr")) == 5
    assert lines_of(("consul", "ssl", "verify")) == 6
    assert lines_of(("template", 0)) == 8
    assert lines_of(("template", 0, "contents")) == 10
    assert lines_of(("template", 0, "command")) == 14
    assert lines_of(("template", 0, "vars", "x")) == 18
    assert lines_of(("template", 1, "mode")) == 21
    assert lines_of(("reload_group", "l b", "atomic")) == 23


def test_text_inside_a_long_string_is_no_key():
    assert lines_of(("template", 0, "mode")) == 8


def test_a_key_that_is_not_found_stands_in_the_nearest_table():
    assert lines_of(("consul", "ssl", "nowhere")) == 4
    assert lines_of(("nowhere",)) is None


NAMES = st.from_regex(r"[a-z_][a-z0-9_-]{0,8}", fullmatch=True)
SCALARS = st.booleans() | st.integers(-9, 9) | st.text(max_size=20)


@given(st.dictionaries(NAMES, SCALARS | st.dictionaries(NAMES, SCALARS, min_size=1)))
def test_every_key_that_a_writer_writes_is_found(data):
    text = tomli_w.dumps(data)
    lines = index_lines(text)
    for name, value in data.items():
        for path in [(name, key) for key in value] if isinstance(value, dict) else [(name,)]:
            assert text.split("\n")[lines[path] - 1].startswith(f"{path[-1]} =")


@pytest.mark.parametrize("value", ["\"'''\"", '\'"""\'', '"""x"""', "1 # '''", '"\\\\" # """'])
def test_quotes_inside_a_string_open_nothing(value):
    assert index_lines(f"a = {value}\nb = 1\n")["b",] == 2


@given(st.text())
def test_any_text_can_be_searched(text):
    index_lines(text)
