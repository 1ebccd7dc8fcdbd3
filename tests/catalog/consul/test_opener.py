"""Catalog URLs and addresses, as they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctemplate.catalog.consul.opener import endpoints_of, open_consul, settings_of
from ctemplate.errors import ConfigError
from ctemplate.settings import CatalogSource, Consul


@pytest.mark.parametrize(
    ("addresses", "tls", "urls"),
    [
        ("127.0.0.1:8500", False, "http://127.0.0.1:8500"),
        ("127.0.0.1:8500", True, "https://127.0.0.1:8500"),
        ("consul.internal", False, "http://consul.internal:8500"),
        ("consul.internal", True, "https://consul.internal:8501"),
        ("http://consul.internal:80/", True, "http://consul.internal:80"),
        ("https://consul.internal", False, "https://consul.internal:8501"),
        ("[::1]:8500", False, "http://[::1]:8500"),
        ("[::1]", False, "http://[::1]:8500"),
        ("::1", False, "http://[::1]:8500"),
        ("unix:///run/consul.sock", False, "unix:///run/consul.sock"),
        ("a:1, b:2,c", False, "http://a:1,http://b:2,http://c:8500"),
    ],
)
def test_an_address_is_parsed(addresses, tls, urls):
    assert ",".join(str(endpoint) for endpoint in endpoints_of(addresses, tls=tls)) == urls


@pytest.mark.parametrize(
    "addresses",
    [
        "",
        ",",
        "ftp://h",
        "h:port",
        "h:0",
        "h:70000",
        "http://h/path",
        "unix://relative",
        "[::1",
        "[::1]x",
        "a b",
        "h?x",
    ],
)
def test_an_address_that_is_none_is_an_error(addresses):
    with pytest.raises(ConfigError, match="Consul address"):
        endpoints_of(addresses, tls=False)


def test_an_address_with_a_password_is_an_error_that_does_not_show_it():
    with pytest.raises(ConfigError, match="-consul-auth") as caught:
        endpoints_of("http://user:s3cret@h:1", tls=False)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("", "http://default:1"),
        ("consul://", "http://default:1"),
        ("consul://h", "http://h:8500"),
        ("consul://h1,h2:99", "http://h1:8500,http://h2:99"),
        ("consul+https://h", "https://h:8501"),
        ("consul+unix:///run/a.sock", "unix:///run/a.sock"),
    ],
)
def test_a_catalog_url_says_where_consul_is(url, where):
    catalog = open_consul(CatalogSource(url=url), Consul(address="default:1"), emit=lambda event: None)
    assert catalog.describe() == where
    assert catalog.connections() == 0


def test_a_url_without_slashes_is_an_error():
    with pytest.raises(ConfigError, match="expected consul://"):
        open_consul(CatalogSource(url="consul:h"), Consul(), emit=lambda event: None)


def test_the_options_of_a_catalog_go_before_the_settings_of_all():
    options = {"ca_file": "/ca.pem", "max_connections": 1, "token": "x"}
    with pytest.raises(ConfigError, match="max_connections is 1"):
        open_consul(CatalogSource(url="consul://h", options=options), Consul(), emit=lambda event: None)
    del options["max_connections"]
    open_consul(CatalogSource(url="consul://h", options=options), Consul(ca_file=Path("/x")), emit=lambda event: None)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tokn": "x"}, "catalog east: unknown key tokn: did you mean token\\?"),
        ({"addr": "h:1"}, "catalog east: unknown key addr: expected one of auth, ca_file"),
        ({"max_connections": "many"}, "catalog east: .*max_connections"),
        ({"ca_file": 5}, "catalog east: .*ca_file"),
    ],
)
def test_a_wrong_option_names_catalog_and_key(options, reason):
    with pytest.raises(ConfigError, match=reason):
        open_consul(CatalogSource(name="east", url="consul://h", options=options), Consul(), emit=lambda event: None)


def test_the_token_of_a_catalog_goes_before_the_token_file_of_all(tmp_path):
    common = Consul(token_file=tmp_path / "token")
    source = CatalogSource(url="consul://h", options={"token": "own"})
    assert settings_of(source, common) == Consul(token="own")


def test_a_duration_and_a_relative_path_of_a_catalog_are_read_as_everywhere_else(tmp_path):
    source = CatalogSource(url="consul://h", options={"max_stale": "5s", "ca_file": "ca.pem"}, base=tmp_path)
    assert settings_of(source, Consul()) == Consul(max_stale=5.0, ca_file=tmp_path / "ca.pem")
