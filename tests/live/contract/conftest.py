"""Every catalog's server, started once; what it needs to be added is said in `contract/__init__.py`."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest

from contract import CATALOGS, Server


@pytest.fixture(scope="session", params=CATALOGS)
def _server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with importlib.import_module(f"contract.{request.param}").open_server(request) as server:
        yield server


@pytest.fixture
def server(_server: Server) -> Iterator[Server]:
    """One catalog's server after the other, running and empty."""
    yield _server
    _server.clear()
