from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from ctemplate.config import Flags, keys, load
from ctemplate.errors import ConfigError


def error_of(tmp_path, *names):
    with pytest.raises(ConfigError) as caught:
        load(Flags(config=names, template=("a:b",)), environ={}, cwd=tmp_path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("tokn = 1", "c.toml:1: tokn: unknown key: expected one of "),
        ("\n\ntimout = 1", "c.toml:3: timout: unknown key: did you mean timeout?"),
        ("[consul]\naddress = 'x'", "c.toml:2: [consul]: address: unknown key: did you mean addr?"),
        ("[consul]\naddr = 1", "c.toml:2: [consul]: addr: expected a string, not an integer"),
        ("consul = 'x'", "c.toml:1: consul: expected a table [consul], not a string"),
        ("timeout = true", "c.toml:1: timeout: expected a duration"),
        ("timeout = 1979-05-27", "c.toml:1: timeout: expected a duration"),
        ("once = 'true'", "c.toml:1: once: expected true or false, not a string"),
        ("max_connections = '9'", "c.toml:1: max_connections: expected an integer, not a string"),
        ("max_connections = true", "c.toml:1: max_connections: expected an integer, not a boolean"),
        ("state_dir = 1", "c.toml:1: state_dir: expected a string, not an integer"),
        ("check = []", "c.toml:1: check: expected a list that begins with the name of a program"),
        ("check = [1]", "c.toml:1: check: expected a string for the shell, or a list of strings"),
        ("reload_group = 1", "c.toml:1: reload_group: expected a table [reload_group.NAME], not an integer"),
        ("[reload_group]\nlb = 1", "c.toml:2: [reload_group]: lb: expected a table [reload_group.lb], not an integer"),
        ("[reload_group.lb]\natomc = 1", "c.toml:2: [reload_group.lb]: atomc: unknown key: did you mean atomic?"),
        ("[vault]\naddress = 'x'", "c.toml:1: vault: unknown key: ctemplate does not read Vault"),
        ("kill_signal = 'SIGTERM'", "c.toml:1: kill_signal: unknown key: SIGTERM and SIGINT end ctemplate"),
        ("config = 'x'", "c.toml:1: config: unknown key"),
    ],
)
def test_a_wrong_key_is_named_by_file_line_table_and_key(refused, text, line):
    lines = refused(text)
    assert len(lines) == 1
    assert lines[0].startswith(line)


def test_a_template_that_is_no_table_in_double_brackets_is_named(tmp_path):
    (tmp_path / "c.toml").write_text('[template]\nsource = "a"\n')
    assert error_of(tmp_path, "c.toml") == "c.toml:1: template: expected [[template]] tables, in double brackets"


def test_a_syntax_error_is_named_by_line_and_column(tmp_path):
    (tmp_path / "c.toml").write_text("once = true\ntimeout = = 1\n")
    assert error_of(tmp_path, "c.toml") == "c.toml:2:11: not valid TOML: Invalid value"


def test_a_mode_without_quotes_is_named_as_such(tmp_path):
    (tmp_path / "c.toml").write_text("[[template]]\nmode = 0640\n")
    assert error_of(tmp_path, "c.toml") == 'c.toml:2:9: mode: expected octal text in quotes, such as "0640"'


@pytest.mark.parametrize("name", ["c.hcl", "c.conf"])
def test_a_configuration_of_consul_template_is_named_as_such(tmp_path, name):
    (tmp_path / name).write_text('consul {\n  address = "127.0.0.1:8500"\n}\n\ntemplate {\n  source = "a"\n}\n')
    assert error_of(tmp_path, name).startswith(f"{name}: this is a consul-template configuration (HCL)")


def test_json_is_named_as_such(tmp_path):
    (tmp_path / "c.json").write_text('{"template": []}')
    assert error_of(tmp_path, "c.json").startswith("c.json: this is JSON; ctemplate reads TOML")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "c.toml").write_bytes(b"a = '\xff'")
    assert error_of(tmp_path, "c.toml") == "c.toml: not UTF-8 text (byte 5): TOML is UTF-8"


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert error_of(tmp_path, "c.toml") == "c.toml: cannot be read: No such file or directory"


def test_a_directory_is_its_toml_files_in_lexical_order(tmp_path):
    (tmp_path / "d").mkdir()
    for name in ("10-b.toml", "2-c.toml", "05-a.toml", ".hidden.toml", "note.txt", "x.toml.bak"):
        (tmp_path / "d" / name).write_text(f'[[template]]\nsource = "t"\ndestination = "/out/{name}"\n')
    settings = load(Flags(config=("d",)), environ={}, cwd=tmp_path)
    assert [template.destination.name for template in settings.templates] == ["05-a.toml", "10-b.toml", "2-c.toml"]


def test_a_directory_without_a_toml_file_is_an_error(tmp_path):
    assert error_of(tmp_path, ".") == "-config .: the directory holds no *.toml file"
    (tmp_path / "c.hcl").touch()
    assert error_of(tmp_path, ".").endswith("; ctemplate does not read HCL")


def test_one_setting_said_in_two_files_is_an_error_that_names_both(tmp_path):
    (tmp_path / "a.toml").write_text('timeout = "1s"')
    (tmp_path / "b.toml").write_text('\ntimeout = "1s"')
    assert error_of(tmp_path, "a.toml", "b.toml") == "b.toml:2: timeout: is set twice: also at a.toml:1: timeout"


def test_one_setting_said_in_both_its_forms_is_an_error(refused):
    assert refused('consul_addr = "a:1"\n[consul]\naddr = "b:1"') == [
        "c.toml:3: [consul]: addr: is set twice: also at c.toml:1: consul_addr"
    ]


def test_a_group_or_a_catalog_said_in_two_files_is_an_error(tmp_path):
    text = '[catalog.x]\nurl = "file:/x"\n[reload_group.g]\natomic = true\n[[template]]\nreload_group = "g"\n'
    (tmp_path / "a.toml").write_text(f'{text}source = "a"\ndestination = "A"\n')
    (tmp_path / "b.toml").write_text(f'{text}source = "b"\ndestination = "B"\n')
    assert error_of(tmp_path, "a.toml", "b.toml").split("\n") == [
        "b.toml:3: [reload_group.g]: is set twice: also at a.toml:3: [reload_group.g]",
        "b.toml:1: [catalog.x]: is set twice: also at a.toml:1: [catalog.x]",
    ]


def test_an_empty_name_is_not_the_working_directory(tmp_path):
    (tmp_path / "c.toml").write_text("once = true")
    assert error_of(tmp_path, "") == "-config : expected a file or a directory"


def test_a_file_that_is_nested_too_deeply_is_refused(tmp_path):
    (tmp_path / "c.toml").write_text("a = " + "[" * 100_000)
    assert error_of(tmp_path, "c.toml") == "c.toml: not valid TOML: nested too deeply"


VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.sampled_from(["5s", "1s:2s", "file:x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from([*keys.GLOBAL, "template", "catalog", "consul", "reload_group", "x"])
TABLES = st.dictionaries(st.sampled_from([*keys.TEMPLATE, *keys.CONSUL_TABLE, "url", "lb"]), VALUES, max_size=4)


@given(st.dictionaries(NAMES, VALUES | TABLES | st.lists(TABLES, max_size=2), max_size=4))
def test_any_toml_is_settings_or_a_configuration_error(data):
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "c.toml").write_text(tomli_w.dumps(data))
        try:
            settings = load(Flags(config=("c.toml",), template=("a:b",)), environ={}, cwd=Path(directory))
        except ConfigError as error:
            assert str(error)
        else:
            assert settings.templates


def test_a_secret_of_the_wrong_type_is_not_repeated(refused):
    assert refused("consul_token = 90210") == ["c.toml:1: consul_token: expected a string, not an integer"]
