"""What the master of a real HAProxy confirms, and what shows that a reload failed."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from ctemplate.changes import Command, Proof, Step
from ctemplate.commit.command import run
from ctemplate.commit.reload.haproxy.master import show_processes
from ctemplate.commit.reload.known import reloader_for
from ctemplate.errors import CommitError
from ctemplate.events import Event, Warned

CONFIGURATION = """\
global
    maxconn 100
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:{port}
    http-request return status 200 content-type text/plain string {body}
    {more}
"""
UNASSIGNABLE = "bind 192.0.2.1:80"
"""An address that no machine has (RFC 5737): the check passes, the reload does not."""


class Haproxy:
    """HAProxy in master-worker mode with its master's socket, and the reloader of its command."""

    def __init__(self, binary: str, directory: Path, port: int) -> None:
        self.binary = binary
        self.directory = directory
        self.port = port
        self.conf = directory / "haproxy.cfg"
        self.pid_file = directory / "haproxy.pid"
        self.socket = directory / "master.sock"
        self.process: subprocess.Popen[bytes] | None = None
        self.events: list[Event] = []
        self.serve("old")
        self.reloader = self.reloader_with(str(self.socket))

    def reloader_with(self, socket_path: str) -> Any:
        command = Command(line=f"kill -USR2 $(cat {self.pid_file})")
        return reloader_for(command, haproxy_socket=socket_path, emit=self.events.append)

    def serve(self, body: str, *, more: str = "") -> None:
        self.conf.write_text(CONFIGURATION.format(port=self.port, body=body, more=more))

    def start(self) -> None:
        line = [self.binary, "-W", "-f", str(self.conf), "-S", str(self.socket), "-p", str(self.pid_file)]
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(line, stdout=log, stderr=log)
        self.pid_file.write_text(f"{self.process.pid}\n")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:  # a master whose workers cannot live may wait for them for ever
                self.process.kill()
                self.process.wait(5)

    def ready(self) -> bool:
        try:
            return bool(show_processes(self.socket).newest) and self.body in ("old", "new")
        except OSError:
            return False

    def reload(self, *, reloader: Any = None, cancel: threading.Event | None = None) -> Proof:
        chosen = reloader or self.reloader
        try:
            proof: Proof = chosen.reload(check_seconds=0.02, cancel=cancel or threading.Event())
        except CommitError as error:
            error.add_note((self.directory / "log").read_text() if self.process else "it was never started")
            raise
        return proof

    @property
    def body(self) -> str:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()


@pytest.fixture
def stopped(haproxy_binary: str, tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Haproxy]:
    """One that was not started."""
    server = Haproxy(haproxy_binary, tmp_path, free_port())
    yield server
    server.stop()


@pytest.fixture
def haproxy(stopped: Haproxy, eventually: Callable[..., Any]) -> Haproxy:
    """One that serves."""
    stopped.start()
    eventually(stopped.ready)
    return stopped


def test_a_good_reload_is_confirmed_by_the_master(haproxy: Haproxy) -> None:
    haproxy.reloader.verify_setup()
    haproxy.serve("new")
    assert haproxy.reload() is Proof.CONFIRMED
    assert haproxy.body == "new"


def test_an_address_that_cannot_be_bound_is_seen_though_the_check_passes(haproxy: Haproxy) -> None:
    haproxy.serve("new", more=UNASSIGNABLE)
    assert run(Command(line=(haproxy.binary, "-c", "-f", str(haproxy.conf)))).code == 0
    with pytest.raises(CommitError, match="the reload failed") as error:
        haproxy.reload()
    assert error.value.step is Step.VERIFY


def test_the_old_configuration_heals_after_a_failed_reload(haproxy: Haproxy) -> None:
    haproxy.serve("new", more=UNASSIGNABLE)
    with pytest.raises(CommitError):
        haproxy.reload()
    haproxy.serve("old")
    assert haproxy.reload() is Proof.CONFIRMED
    assert haproxy.body == "old"


def test_a_second_failed_reload_is_seen_as_well(haproxy: Haproxy) -> None:
    haproxy.serve("new", more=UNASSIGNABLE)
    for _ in range(2):
        with pytest.raises(CommitError, match="the reload failed"):
            haproxy.reload()


def test_a_master_that_is_slow_to_start_itself_again_is_not_gone(
    stopped: Haproxy, eventually: Callable[..., Any]
) -> None:
    """After a failed reload the master executes itself; nobody holds its socket until it is back."""
    slow = stopped.directory / "haproxy"
    slow.write_text(f'#!/bin/bash\nsleep 1.5\nexec -a "$0" {stopped.binary} "$@"\n')
    slow.chmod(0o755)
    stopped.binary = str(slow)
    stopped.start()
    eventually(stopped.ready)
    stopped.serve("new", more=UNASSIGNABLE)
    with pytest.raises(CommitError, match="the reload failed"):
        stopped.reload()


def test_workers_that_end_after_they_were_forked_are_no_proof(haproxy: Haproxy) -> None:
    text = haproxy.conf.read_text()
    haproxy.conf.write_text(text.replace("maxconn 100", "maxconn 100\n    chroot /does/not/exist"))
    with pytest.raises(CommitError, match=r"its master ended|0 new workers") as error:
        haproxy.reload()
    assert error.value.step is Step.VERIFY


def test_without_a_socket_nothing_is_proved_and_that_is_said_once(haproxy: Haproxy) -> None:
    reloader = haproxy.reloader_with("")
    assert haproxy.reload(reloader=reloader) is Proof.NONE
    assert haproxy.reload(reloader=reloader) is Proof.NONE
    assert [type(event) for event in haproxy.events].count(Warned) == 1


def test_a_haproxy_that_is_not_running_is_an_outcome_of_its_own(stopped: Haproxy) -> None:
    stopped.reloader.verify_setup()
    assert stopped.reload() is Proof.NOT_RUNNING


def test_a_haproxy_that_was_killed_is_not_running(haproxy: Haproxy, eventually: Callable[..., Any]) -> None:
    assert haproxy.process is not None
    workers = show_processes(haproxy.socket).workers
    haproxy.process.kill()
    haproxy.process.wait(10)
    for worker in workers:
        with suppress(ProcessLookupError):  # it may have followed its master
            os.kill(worker, signal.SIGTERM)
    assert haproxy.reload() is Proof.NOT_RUNNING


def test_a_socket_that_is_not_the_masters_proves_nothing(haproxy: Haproxy, tmp_path: Path) -> None:
    path = tmp_path / "silent.sock"
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(path))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"Unknown command\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert haproxy.reload(reloader=haproxy.reloader_with(str(path))) is Proof.NONE
        thread.join()
    assert any(isinstance(event, Warned) and "master's socket" in event.text() for event in haproxy.events)


def test_cancelling_ends_the_wait_for_the_masters_word(haproxy: Haproxy) -> None:
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    with pytest.raises(CommitError, match="interrupted"):
        haproxy.reload(cancel=cancel)


def test_a_valid_file_without_a_listener_is_refused_by_the_check(tmp_path: Path, haproxy_binary: str) -> None:
    (tmp_path / "haproxy.cfg").write_text("global\n    maxconn 10\n")
    assert run(Command(line=(haproxy_binary, "-c", "-f", str(tmp_path / "haproxy.cfg")))).code == 2
