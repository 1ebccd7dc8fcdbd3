from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctemplate.config import Flags, keys, parse_catalog_flag, parse_template_flag
from ctemplate.errors import ConfigError

NO_COLON = st.text(st.characters(exclude_characters=":", exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a:b", ("a", "b", "")),
        ("a:b:", ("a", "b", "")),
        ("a:b:nginx -s reload", ("a", "b", "nginx -s reload")),
        ("a:b:curl http://[::1]:8500/", ("a", "b", "curl http://[::1]:8500/")),
        ("a:b:::1", ("a", "b", "::1")),
        ("c:/d:e", ("c", "/d", "e")),
    ],
)
def test_a_template_is_split_at_its_first_two_colons_only(text, parts):
    assert parse_template_flag(text) == parts


@pytest.mark.parametrize("text", ["", "a", "a:", ":b", "::c", "a::secret-token"])
def test_a_template_without_source_or_destination_is_refused_without_its_command(text):
    with pytest.raises(ConfigError, match=r"expected SRC:DEST\[:COMMAND\]") as caught:
        parse_template_flag(text)
    assert "secret-token" not in str(caught.value)


@given(NO_COLON, NO_COLON, st.text())
def test_a_command_may_hold_any_text(source, destination, command):
    assert parse_template_flag(f"{source}:{destination}:{command}") == (source, destination, command)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("file:services.yaml", ("default", "file:services.yaml")),
        ("consul://a:8500,b:8500", ("default", "consul://a:8500,b:8500")),
        ("east=consul://a:8500", ("east", "consul://a:8500")),
        ("file:a=b.yaml", ("default", "file:a=b.yaml")),
        ("file:8500", ("default", "file:8500")),
        ("consul+unix:///run/consul.sock", ("default", "consul+unix:///run/consul.sock")),
    ],
)
def test_a_catalog_has_a_name_and_a_url(text, named):
    assert parse_catalog_flag(text) == named


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("disk=file:x", 'cannot be called "disk"'),
        ("localhost:8500", "such as consul://localhost:8500"),
        ("east=localhost:8500", "such as consul://localhost:8500"),
        ("services.yaml", "expected a URL"),
        ("east=", "expected a URL"),
        ("", "expected a URL"),
    ],
)
def test_a_catalog_that_is_no_url_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_catalog_flag(text)


def test_every_global_key_is_a_flag_and_every_flag_a_key():
    repeatable = {"template", "config", "catalog"}
    assert {field.name for field in dataclasses.fields(Flags)} == set(keys.GLOBAL) | repeatable


def test_flags_do_not_show_secrets():
    assert "hunter2" not in repr(Flags(consul_token="hunter2", consul_auth="hunter2", catalog=("x://hunter2@h",)))
