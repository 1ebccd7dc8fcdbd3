from __future__ import annotations

from pathlib import Path

import pytest

from ctemplate.settings import Consul


def test_consuls_own_variables_are_honoured(loaded):
    consul = loaded(
        environ={
            "CONSUL_HTTP_ADDR": "https://consul.example:8501",
            "CONSUL_HTTP_TOKEN": "t",
            "CONSUL_HTTP_SSL": "TRUE",
            "CONSUL_HTTP_SSL_VERIFY": "0",
            "CONSUL_HTTP_AUTH": "user:password",
            "CONSUL_CACERT": "/ca",
            "CONSUL_CLIENT_CERT": "/cert",
            "CONSUL_CLIENT_KEY": "/key",
            "CONSUL_TLS_SERVER_NAME": "name",
        }
    ).consul
    assert consul == Consul(
        address="https://consul.example:8501",
        token="t",
        ssl=True,
        ssl_verify=False,
        auth="user:password",
        ca_file=Path("/ca"),
        client_cert=Path("/cert"),
        client_key=Path("/key"),
        tls_server_name="name",
    )


def test_an_address_may_be_a_socket(loaded):
    assert loaded(environ={"CONSUL_HTTP_ADDR": "unix:///run/consul.sock"}).consul.address == "unix:///run/consul.sock"


def test_an_empty_variable_is_none(loaded):
    environ = dict.fromkeys(["CONSUL_HTTP_ADDR", "CONSUL_HTTP_SSL", "CONSUL_CACERT", "CONSUL_HTTP_TOKEN"], "")
    assert loaded(environ=environ).consul == Consul()


@pytest.mark.parametrize("name", ["CONSUL_HTTP_SSL", "CONSUL_HTTP_SSL_VERIFY"])
def test_a_truth_value_that_is_none_is_an_error_rather_than_a_lesser_protection(refused, name):
    assert refused(environ={name: "yes"}) == [f'{name}: expected true or false, not "yes"']


def test_a_wrong_address_is_named_by_its_variable(refused):
    (line,) = refused(environ={"CONSUL_HTTP_ADDR": "tcp://h:1"})
    assert line.startswith("CONSUL_HTTP_ADDR: expected host:port")


def test_a_token_file_is_preferred_to_a_token_beside_it(loaded):
    consul = loaded(environ={"CONSUL_HTTP_TOKEN": "t", "CONSUL_HTTP_TOKEN_FILE": "/f"}).consul
    assert (consul.token, consul.token_file) == ("", Path("/f"))


def test_a_token_flag_beats_the_environments_token_file(loaded):
    consul = loaded(environ={"CONSUL_HTTP_TOKEN_FILE": "/f"}, consul_token="t").consul
    assert (consul.token, consul.token_file) == ("t", None)


def test_the_environments_token_beats_the_files_token_file(loaded):
    consul = loaded('consul_token_file = "/f"', environ={"CONSUL_HTTP_TOKEN": "t"}).consul
    assert (consul.token, consul.token_file) == ("t", None)


def test_a_directory_of_authorities_is_warned_of(loaded):
    assert loaded(environ={"CONSUL_CAPATH": "/ca.d"}).warnings[0].startswith("CONSUL_CAPATH is not read")
    assert loaded(environ={"CONSUL_CAPATH": "/ca.d", "CONSUL_CACERT": "/ca"}).warnings == ()


def test_no_secret_shows_in_the_settings(loaded):
    settings = loaded('consul_token = "hunter2"', consul_auth="u:hunter2")
    assert settings.consul.token == "hunter2"
    assert "hunter2" not in repr(settings)
