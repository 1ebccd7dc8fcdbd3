"""Catalogs by URL scheme, imported when they are named and not before."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ctemplate.catalog.registry import open_catalog
from ctemplate.errors import ConfigError
from ctemplate.settings import CatalogSource, Consul


def open_url(url, **options):
    return open_catalog(CatalogSource(name="east", url=url, options=options), Consul(), emit=lambda event: None)


@pytest.mark.parametrize(
    ("url", "where"),
    [("", "127.0.0.1:8500"), ("consul://h:1", "http://h:1"), ("file:/srv/services.yaml", "/srv/services.yaml")],
)
def test_a_scheme_opens_its_catalog(url, where):
    assert where in open_url(url).describe()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("consl://user:s3cret@h", "catalog east: 'consl' names no known catalog; did you mean consul?"),
        ("quux:x", "known: consul:, consul\\+https:.*, file:"),
        ("services.yaml", "names no known catalog"),
        ("file:", "names no file"),
    ],
)
def test_a_url_that_opens_nothing_says_what_would(url, reason):
    with pytest.raises(ConfigError, match=reason) as caught:
        open_url(url)
    assert "s3cret" not in str(caught.value)


def test_a_file_catalog_takes_no_options():
    with pytest.raises(
        ConfigError, match="catalog east: unknown key token: a catalog of this kind takes nothing but its url"
    ):
        open_url("file:/srv/services.yaml", token="x")


def test_no_back_end_is_imported_before_a_url_names_it():
    heavy = ("httptools", "yaml", "ssl")
    code = f"import sys, ctemplate.catalog.registry; print(sorted(m for m in sys.modules if m in {heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"
