"""What every test may use: waiting with a deadline, free ports, figures, and proof of which package is under test.

`make torture` runs the tests that are marked `torture`, and only those, with `--torture`: at full size, with an hour's
patience, and a table of the figures that they report. Without it the same tests run on a sample:

    @pytest.mark.torture
    def test_a_sentence(torture: bool, figure: Figure) -> None:
        cases = 100_000 if torture else 2_000
        …
        figure("generated inputs", cases)

`@pytest.mark.torture(only=True)` is for what has no sample that is worth its seconds.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

import ctemplate as package_under_test

POLL_SECONDS = 0.01
TORTURE_SECONDS = 3600
"""A test's time limit under `--torture`."""

Figure = Callable[[str, object], None]
_FIGURE = "figure"
SERVER_PORTS = range(20_000, 32_000)
"""Below Linux's `net.ipv4.ip_local_port_range`, 32768 to 60999."""
XDIST_WORKER = (("PYTEST_XDIST_WORKER", "gw0"), ("PYTEST_XDIST_WORKER_COUNT", "1"))

hypothesis.settings.register_profile(  # a slow machine fails no test
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--torture", action="store_true", help="only the tests marked `torture`, at full size")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose by the mark `torture`, and give what is tried at full size its time."""
    full = bool(config.getoption("--torture"))
    chosen, others = [], []
    for item in items:
        mark = item.get_closest_marker("torture")
        (chosen if (mark if full else not (mark and mark.kwargs.get("only"))) else others).append(item)
        if full:
            item.add_marker(pytest.mark.timeout(TORTURE_SECONDS), append=False)
    config.hook.pytest_deselected(items=others)
    items[:] = chosen


@pytest.fixture(scope="session")
def torture(pytestconfig: pytest.Config) -> bool:
    """Whether this is `make torture`: everything, not a sample."""
    return bool(pytestconfig.getoption("--torture"))


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """`figure(name, value)`: a row of the table at the end of `make torture`."""
    command = f"make torture TORTURE={request.node.nodeid.split('[')[0]}"

    def report(name: str, value: object) -> None:
        shown = f"{value:,}" if isinstance(value, int) else str(value)
        request.node.user_properties.append((_FIGURE, (name, shown, command)))

    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures, as a table for the docs."""
    reports = [report for some in terminalreporter.stats.values() for report in some]
    calls = [report for report in reports if getattr(report, "when", "") == "call"]
    rows = [value for report in calls for name, value in report.user_properties if name == _FIGURE]
    if rows and config.getoption("--torture"):
        terminalreporter.section("figures")
        for row in (("figure", "value", "command"), ("---", "---", "---"), *rows):
            terminalreporter.write_line("| " + " | ".join(row) + " |")


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
    """`free_port()`: a TCP port on loopback that nobody holds, never the same one twice.

    Every worker draws from ports of its own, none of which the kernel gives to a connection or to a listener on port 0:
    another test could hold such a port by the time that the server of this one listens.
    """
    worker, workers = (int(os.environ.get(name, unset).lstrip("gw")) for name, unset in XDIST_WORKER)
    mine = list(SERVER_PORTS[worker::workers])
    random.shuffle(mine)  # two runs at a time seldom try the same one

    def find() -> int:
        while True:
            port = mine.pop()
            with contextlib.suppress(OSError), socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
                return port

    return find
