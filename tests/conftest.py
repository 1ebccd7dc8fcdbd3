"""What every test may use: waiting with a deadline, free ports, and proof of which package is under test."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

import ctemplate as package_under_test

POLL_SECONDS = 0.01

hypothesis.settings.register_profile(  # a slow machine fails no test
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """`make test` tests the wheel: refuse to run when the source tree got in its way."""
    imported = Path(package_under_test.__file__)
    if os.environ.get("CTEMPLATE_TEST_WHEEL") and imported.is_relative_to(config.rootpath / "ctemplate"):
        raise pytest.UsageError(f"these tests are for the installed wheel, but `import ctemplate` found {imported}")


def _eventually(predicate: Callable[[], Any], timeout: float = 20.0) -> Any:
    """Wait until the predicate is true and return what it returned; an AssertionError in it counts as not yet."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            value = predicate()
            fault = f"last value: {value!r}"
        except AssertionError as error:
            value, fault = None, str(error)
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout:g} s; {fault}")
        time.sleep(POLL_SECONDS)


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    """`eventually(predicate, timeout=20)`."""
    return _eventually


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """`free_port()`: a TCP port on loopback that nobody held a moment ago, never the same one twice."""
    given: set[int] = set()

    def find() -> int:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            if port not in given:
                given.add(port)
                return port

    return find
