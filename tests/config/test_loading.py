from __future__ import annotations

from pathlib import Path

import pytest

from ctemplate.changes import Command
from ctemplate.config import Flags, load
from ctemplate.errors import ConfigError
from ctemplate.settings import CatalogSource, Consul, ReloadGroup, Settings, Wait


def test_what_nobody_said_is_the_default(tmp_path):
    settings = load(Flags(template=("a.j2:a.conf",)), environ={}, cwd=tmp_path)
    assert settings == Settings(templates=settings.templates)
    assert settings.templates[0].source == tmp_path / "a.j2"
    assert settings.templates[0].destination == tmp_path / "a.conf"
    assert settings.templates[0].command is None


def test_a_flag_beats_the_environment_which_beats_the_file(loaded):
    text, environ = 'consul_addr = "file:1"', {"CONSUL_HTTP_ADDR": "environ:2"}
    assert loaded(text).consul.address == "file:1"
    assert loaded(text, environ=environ).consul.address == "environ:2"
    assert loaded(text, environ=environ, consul_addr="flag:3").consul.address == "flag:3"


def test_every_setting_of_a_file_is_read(loaded, tmp_path):
    settings = loaded(
        """
        once = true
        timeout = "5s"
        dry = false
        wait = "1s:2s"
        check = ["nginx", "-t"]
        state_dir = "state"
        log_level = "WARN"
        log_format = "json"
        pid_file = "/run/x.pid"
        health_file = "health"
        max_stale = 0
        max_connections = 9
        consul_addr = "h:1"
        [consul]
        token = "t"
        ssl = true
        ssl_verify = false
        ca_file = "ca.pem"
        client_cert = "cert.pem"
        client_key = "key.pem"
        tls_server_name = "name"
        auth = "u:p"
        """
    )
    expected = Settings(
        templates=settings.templates,
        once=True,
        timeout=5.0,
        wait=Wait(1.0, 2.0),
        check=Command(("nginx", "-t")),
        state_dir=tmp_path / "state",
        log_level="warning",
        log_format="json",
        pid_file=Path("/run/x.pid"),
        health_file=tmp_path / "health",
        config_files=(tmp_path / "c.toml",),
        consul=Consul(
            address="h:1",
            token="t",
            ssl=True,
            ssl_verify=False,
            ca_file=tmp_path / "ca.pem",
            client_cert=tmp_path / "cert.pem",
            client_key=tmp_path / "key.pem",
            tls_server_name="name",
            auth="u:p",
            max_stale=0.0,
            max_connections=9,
        ),
    )
    assert settings == expected


def test_every_flag_is_read(tmp_path):
    flags = Flags(
        template=("a:b:cmd",),
        catalog=("file:s.yaml", "east=consul://e"),
        consul_addr="h:1",
        consul_token_file="t",
        consul_ssl=True,
        consul_ssl_verify=False,
        consul_ca_file="/ca",
        consul_client_cert="c",
        consul_client_key="k",
        consul_tls_server_name="n",
        consul_auth="u",
        max_stale="0",
        max_connections="9",
        once=False,
        timeout="1m",
        dry=True,
        wait="2s",
        check="",
        state_dir="s",
        log_level="debug",
        log_format="text",
        pid_file="p",
        health_file="h",
    )
    settings = load(flags, environ={}, cwd=tmp_path)
    expected = Settings(
        templates=settings.templates,
        catalogs=(
            CatalogSource(url=f"file:{tmp_path}/s.yaml", base=tmp_path),
            CatalogSource(name="east", url="consul://e", base=tmp_path),
        ),
        once=True,
        dry=True,
        timeout=60.0,
        wait=Wait(2.0, 8.0),
        check=Command(""),
        state_dir=tmp_path / "s",
        log_level="debug",
        pid_file=tmp_path / "p",
        health_file=tmp_path / "h",
        warnings=settings.warnings,
        consul=Consul(
            address="h:1",
            token_file=tmp_path / "t",
            ssl=True,
            ssl_verify=False,
            ca_file=Path("/ca"),
            client_cert=tmp_path / "c",
            client_key=tmp_path / "k",
            tls_server_name="n",
            auth="u",
            max_stale=0.0,
            max_connections=9,
        ),
    )
    assert settings == expected
    assert settings.templates[0].command == Command("cmd")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"wait": "x"}, "-wait: expected MIN[:MAX]"),
        ({"timeout": "0"}, "-timeout: expected a duration above 0"),
        ({"max_connections": "many"}, '-max-connections: expected an integer, not "many"'),
        ({"max_connections": "0"}, "-max-connections: expected an integer of 1 or more, not 0"),
        ({"log_level": "loud"}, '-log-level: expected one of debug, info, warning, error, not "loud"'),
        ({"log_format": "xml"}, '-log-format: expected one of text, json, not "xml"'),
        ({"consul_addr": "ftp://h"}, '-consul-addr: expected host:port, http://…, https://… or unix:///path, not "ftp'),
        ({"state_dir": ""}, "-state-dir: expected a path"),
        ({"template": ("a",)}, "-template: expected SRC:DEST[:COMMAND]"),
        ({"catalog": ("x",)}, "-catalog: expected a URL"),
        ({"catalog": ("file:a", "file:b")}, '-catalog: two catalogs are called "default"'),
    ],
)
def test_a_wrong_flag_is_named(refused, flags, message):
    lines = refused(**flags)
    assert len(lines) == 1
    assert lines[0].startswith(message)


def test_everything_that_is_wrong_is_told_at_once(refused):
    lines = refused('timeout = "x"\nonce = 1', wait="x", environ={"CONSUL_HTTP_SSL": "x"})
    assert [line.split(": expected")[0] for line in lines] == [
        "c.toml:1: timeout",
        "c.toml:2: once",
        "-wait",
        "CONSUL_HTTP_SSL",
    ]


def test_no_template_anywhere_is_an_error(tmp_path):
    (tmp_path / "c.toml").write_text("once = true")
    with pytest.raises(ConfigError, match="there is no template"):
        load(Flags(config=("c.toml",)), environ={}, cwd=tmp_path)


def test_a_wait_of_nothing_turns_the_files_off(loaded):
    assert loaded('wait = "5s"').wait == Wait(5.0, 20.0)
    assert loaded('wait = "5s"', wait="0").wait is None


def test_dry_is_once(loaded):
    assert loaded(dry=True).once
    assert loaded(dry=True, once=False).once


def test_once_can_be_taken_back_by_a_flag(loaded):
    assert loaded("once = true").once
    assert not loaded("once = true", once=False).once


def test_files_templates_come_before_those_of_flags(loaded, tmp_path):
    settings = loaded(template=("b.j2:b.conf",))
    assert [template.name for template in settings.templates] == [f"{tmp_path}/a.conf", f"{tmp_path}/b.conf"]


def test_a_second_reading_sees_the_file_as_it_is_now(tmp_path):
    flags = Flags(config=("c.toml",), template=("a:b",))
    (tmp_path / "c.toml").write_text('log_level = "debug"')
    assert load(flags, environ={}, cwd=tmp_path).log_level == "debug"
    (tmp_path / "c.toml").write_text("")
    assert load(flags, environ={}, cwd=tmp_path).log_level == "info"


def test_relative_paths_of_a_file_start_from_its_directory(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "c.toml").write_text(
        'catalog = "file:services.yaml"\n[[template]]\nsource = "a"\ndestination = "../out"\n'
    )
    settings = load(Flags(config=("etc/c.toml",)), environ={}, cwd=tmp_path)
    assert settings.templates[0].source == tmp_path / "etc" / "a"
    assert settings.templates[0].destination.resolve() == tmp_path / "out"
    assert settings.catalogs[0].url == f"file:{tmp_path}/etc/services.yaml"


def test_catalogs_by_table_keep_their_options_and_their_order(loaded, tmp_path):
    settings = loaded('[catalog.east]\nurl = "consul://e"\ntoken = "t"\n[catalog.west]\nurl = "file:/w.yaml"')
    assert settings.catalogs == (
        CatalogSource(name="east", url="consul://e", options={"token": "t"}, base=tmp_path),
        CatalogSource(name="west", url="file:/w.yaml", base=tmp_path),
    )


def test_the_catalog_called_default_leads(loaded):
    settings = loaded('[catalog.east]\nurl = "consul://e"\n[catalog.default]\nurl = "consul://d"')
    assert [source.name for source in settings.catalogs] == ["default", "east"]


def test_a_catalog_flag_replaces_the_files_of_that_name(loaded):
    settings = loaded('catalog = ["consul://d", "east=consul://e"]', catalog=("east=file:/x",))
    assert [(source.name, source.url) for source in settings.catalogs] == [
        ("default", "consul://d"),
        ("east", "file:/x"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("catalog = 3", "c.toml:1: catalog: expected catalog ="),
        ("[catalog]\nurl = 'consul://x'", "c.toml:1: catalog: expected catalog ="),
        ("[catalog.east]\nx = 1", "c.toml:1: [catalog.east]: url is missing"),
        ("[catalog.east]\nurl = 1", "c.toml:1: [catalog.east]: url: expected a string, not an integer"),
        ("[catalog.disk]\nurl = 'file:x'", "c.toml:1: [catalog.disk]: a catalog cannot be called"),
        ("[catalog.'a b']\nurl = 'file:x'", "c.toml:1: [catalog.a b]: expected a catalog's name"),
        ("catalog = ['file:a', 'file:b']", 'c.toml:1: catalog: the catalog "default" is set twice'),
    ],
)
def test_a_wrong_catalog_is_named(refused, text, message):
    lines = refused(text)
    assert len(lines) == 1
    assert lines[0].startswith(message)


def test_the_settings_of_a_reload_group_are_read(tmp_path):
    (tmp_path / "c.toml").write_text(
        '[[template]]\nsource = "a"\ndestination = "b"\nreload_group = "lb"\n'
        '[reload_group.lb]\natomic = true\ncooldown = "5s"\n'
    )
    settings = load(Flags(config=("c.toml",)), environ={}, cwd=tmp_path)
    assert settings.reload_groups == {"lb": ReloadGroup(atomic=True, cooldown=5.0)}


def test_a_reload_group_that_no_template_names_is_an_error(refused):
    assert refused("[reload_group.lb]\natomic = true") == [
        'c.toml:1: [reload_group.lb]: no template has reload_group = "lb"'
    ]


def test_a_token_on_the_command_line_is_warned_of(loaded):
    warnings = loaded(consul_token="hunter2", consul_auth="u:hunter2").warnings
    assert [warning.split(" ")[0] for warning in warnings] == ["-consul-token", "-consul-auth"]
    assert "hunter2" not in "".join(warnings)
    assert loaded('consul_token = "t"').warnings == ()


def test_an_address_that_a_catalog_overrides_is_warned_of(loaded):
    catalog = 'catalog = "consul://h:1"'
    assert loaded(catalog, consul_addr="h:2").warnings == (
        "-consul-addr: has no effect, as the catalog's URL says where it is",
    )
    assert loaded(catalog, environ={"CONSUL_HTTP_ADDR": "h:2"}).warnings == ()
