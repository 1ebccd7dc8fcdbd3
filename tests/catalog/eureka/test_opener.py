"""From a URL and a table to a Eureka catalog."""

from __future__ import annotations

import pytest

from ctemplate.catalog.registry import open_catalog
from ctemplate.errors import ConfigError
from ctemplate.settings import CatalogSource, Consul


def described(url: str, **options) -> str:
    return open_catalog(CatalogSource(name="x", url=url, options=options), Consul(), emit=[].append).describe()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("eureka://a", "http://a:8761/eureka"),
        ("eureka://a:1/", "http://a:1/eureka"),
        ("eureka://a:1/eureka/", "http://a:1/eureka"),
        ("eureka://a:1/eureka/v2", "http://a:1/eureka/v2"),
        ("eureka+https://a", "https://a:8761/eureka"),
        ("eureka://[::1]:1", "http://[::1]:1/eureka"),
        ("eureka://a,b:1/up", "http://a:8761/up,http://b:1/up"),
        ("eureka://a:1/up,b:2/up/", "http://a:1/up,http://b:2/up"),
        ("eureka://me:secret@a:1", "http://a:1/eureka"),
    ],
)
def test_a_url_names_peers_and_their_path(url: str, expected: str):
    assert described(url) == expected


@pytest.mark.parametrize(
    "url", ["eureka:", "eureka:a", "eureka://", "eureka://a:99999", "eureka://a/x,b/y", "eureka:///x"]
)
def test_a_url_that_names_none_is_an_error(url: str):
    with pytest.raises(ConfigError):
        described(url)


def test_every_option_is_taken():
    options = {"interval": "10s", "lease": "30s", "address": "host", "port": "secure", "user": "u", "password": "p"}
    tls = {"ca_file": "/a", "client_cert": "/b", "client_key": "/c", "ssl_verify": True, "tls_server_name": "n"}
    assert described("eureka://a", password_file="/d", **options, **tls) == "http://a:8761/eureka"


@pytest.mark.parametrize(
    "options",
    [{"interval": "0s"}, {"lease": True}, {"address": "mac"}, {"port": 8080}, {"adress": "ip"}],
)
def test_a_wrong_option_is_an_error_that_names_it(options):
    with pytest.raises(ConfigError, match=f"catalog x.*{next(iter(options))}"):
        described("eureka://a", **options)
