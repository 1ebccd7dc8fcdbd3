from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ctemplate.observe.systemd import Notifier


@pytest.fixture
def manager(tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(5)
        yield sock


def test_ready_carries_the_status(manager):
    Notifier({"NOTIFY_SOCKET": manager.getsockname()}).ready("2 templates")
    assert manager.recv(1000) == b"READY=1\nSTATUS=2 templates"


def test_reloading_carries_the_monotonic_time_that_notify_reload_asks_for(manager):
    Notifier({"NOTIFY_SOCKET": manager.getsockname()}).reloading()
    first, second = manager.recv(1000).decode().splitlines()
    assert first == "RELOADING=1"
    assert second.removeprefix("MONOTONIC_USEC=").isdigit()


def test_the_watchdog_is_fed_only_where_systemd_watches_this_process(manager):
    address = manager.getsockname()
    ours = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())})
    assert ours.watchdog_seconds == 20.0
    ours.alive()
    assert manager.recv(1000) == b"WATCHDOG=1"
    assert Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}).watchdog_seconds == 0.0


def test_an_abstract_socket_is_understood():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = f"ctemplate-test-{os.getpid()}"
        sock.bind("\0" + name)
        sock.settimeout(5)
        Notifier({"NOTIFY_SOCKET": "@" + name}).stopping()
        assert sock.recv(1000) == b"STOPPING=1"


def test_without_a_service_manager_or_with_a_dead_one_nothing_happens(tmp_path: Path):
    Notifier({}).ready("")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("")
