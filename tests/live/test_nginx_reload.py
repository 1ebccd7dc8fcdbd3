"""What proves a reload of a real nginx, and what shows that it did not happen."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from ctemplate.changes import Command, Proof, Step
from ctemplate.commit.command import run
from ctemplate.commit.events import CommandFailed, CommandRan
from ctemplate.commit.reload.known import reloader_for
from ctemplate.errors import CommitError
from ctemplate.events import Event, Warned

CHECK_SECONDS = 0.02


class Site:
    """An nginx that serves one page, and the reloader of its command."""

    def __init__(self, nginx: Any, *, line: str = "") -> None:
        self.nginx = nginx
        self.events: list[Event] = []
        self.reloader = reloader_for(Command(line=line or nginx.reload_command), emit=self.events.append)
        self.conf = nginx.conf_d / "site.conf"
        self.serve("old")

    def serve(self, body: str, *, more: str = "") -> None:
        self.conf.write_text(f'{more} server {{ listen 127.0.0.1:{self.nginx.port}; return 200 "{body}"; }}\n')

    def in_main(self, directive: str) -> None:
        self.nginx.conf.write_text(directive + "\n" + self.nginx.conf.read_text())

    def reload(self, *, cancel: threading.Event | None = None) -> Proof:
        return self.reloader.reload(check_seconds=CHECK_SECONDS, cancel=cancel or threading.Event())

    def check(self) -> int | None:
        check = self.reloader.check()
        assert check is not None
        return run(check).code

    @property
    def body(self) -> str:
        return str(self.nginx.get()[1])

    @property
    def warnings(self) -> list[str]:
        return [event.text() for event in self.events if isinstance(event, Warned)]


@pytest.fixture
def site(make_nginx: Callable[..., Any]) -> Site:
    """A running site."""
    found = Site(make_nginx())
    found.nginx.start()
    found.reloader.verify_setup()
    return found


@pytest.fixture
def held_port() -> Iterator[int]:
    """A port that this process listens on."""
    with closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_a_good_reload_is_proved_by_new_workers(site: Site) -> None:
    before = site.nginx.workers()
    site.serve("new")
    assert site.check() == 0
    assert site.reload() is Proof.NEW_WORKERS
    assert site.body == "new"
    assert len(site.nginx.workers() - before) == 2
    assert [type(event) for event in site.events] == [CommandRan]


def test_more_workers_than_before_are_waited_for(site: Site) -> None:
    conf = site.nginx.conf
    conf.write_text(conf.read_text().replace("worker_processes 2", "worker_processes 5"))
    assert site.reload() is Proof.NEW_WORKERS
    assert len(site.nginx.workers()) == 5


def test_a_port_that_another_process_holds_is_seen_in_the_words_of_the_log(site: Site, held_port: int) -> None:
    before = site.nginx.workers()
    site.serve("new", more=f"server {{ listen 127.0.0.1:{held_port}; return 204; }}")
    assert site.check() == 0, "the test passes: that is why the reload has to be proved"
    with pytest.raises(CommitError, match=rf"bind\(\) to 127.0.0.1:{held_port} failed.*still could not bind") as error:
        site.reload()
    assert error.value.step is Step.VERIFY
    assert site.nginx.workers() == before
    assert site.body == "old"


def test_workers_that_end_at_once_are_seen_and_the_old_configuration_heals(site: Site) -> None:
    good = site.nginx.conf.read_text()
    site.in_main("working_directory /does/not/exist;")
    assert site.check() == 0
    with pytest.raises(CommitError, match="cannot be respawned") as error:
        site.reload()
    assert error.value.step is Step.VERIFY
    site.nginx.conf.write_text(good)
    assert site.reload() is Proof.NEW_WORKERS
    assert site.body == "old"


def test_workers_that_end_at_once_are_seen_without_any_log(site: Site) -> None:
    conf = site.nginx.conf
    conf.write_text(conf.read_text().replace("error_log logs/error.log notice;", "error_log /dev/null;"))
    assert site.reload() is Proof.NEW_WORKERS
    site.in_main("working_directory /does/not/exist;")
    with pytest.raises(CommitError, match="none is left"):
        site.reload()


def test_a_zone_whose_key_changed_is_seen_at_once(site: Site) -> None:
    zone = "limit_req_zone ${} zone=z:32k rate=100r/s; limit_req zone=z;"
    site.serve("zone", more=zone.format("remote_addr"))
    assert site.reload() is Proof.NEW_WORKERS
    site.serve("changed", more=zone.format("uri"))
    assert site.check() == 0
    with pytest.raises(CommitError, match='limit_req "z" uses the "\\$uri" key') as error:
        site.reload()
    assert error.value.step is Step.VERIFY
    assert site.body == "zone"


def test_a_configuration_that_does_not_parse_fails_the_command(site: Site) -> None:
    site.conf.write_text("server { nonsense; }")
    with pytest.raises(CommitError, match='unknown directive "nonsense"') as error:
        site.reload()
    assert error.value.step is Step.RELOAD
    assert [type(event) for event in site.events] == [CommandFailed]


def test_an_nginx_that_is_not_running_is_an_outcome_of_its_own(make_nginx: Callable[..., Any]) -> None:
    site = Site(make_nginx())
    site.reloader.verify_setup()
    assert site.reload() is Proof.NOT_RUNNING


def test_the_empty_pid_file_that_a_test_leaves_means_not_running(make_nginx: Callable[..., Any]) -> None:
    site = Site(make_nginx())
    assert site.check() == 0
    assert site.nginx.pid_file.read_text() == ""
    assert site.reload() is Proof.NOT_RUNNING


def test_a_master_that_was_killed_is_not_running(site: Site, eventually: Callable[..., Any]) -> None:
    workers = site.nginx.workers()
    os.kill(site.nginx.pid, signal.SIGKILL)
    eventually(lambda: not site.nginx.running)
    for worker in workers:
        os.kill(worker, signal.SIGTERM)
    assert site.nginx.pid_file.read_text().strip()
    assert site.reload() is Proof.NOT_RUNNING


def test_a_stale_pid_file_never_signals_a_stranger(make_nginx: Callable[..., Any]) -> None:
    site = Site(make_nginx())
    site.nginx.pid_file.write_text(f"{os.getpid()}\n")  # a SIGHUP would end this test
    assert site.reload() is Proof.NOT_RUNNING
    assert "not nginx" in site.warnings[0]


def test_a_master_that_ends_meanwhile_is_a_failure(site: Site, eventually: Callable[..., Any]) -> None:
    before = site.nginx.workers()

    def kill_the_master() -> None:
        eventually(lambda: site.nginx.workers() - before)
        os.kill(site.nginx.pid, signal.SIGTERM)

    thread = threading.Thread(target=kill_the_master)
    thread.start()
    with pytest.raises(CommitError, match=r"master process \d+ ended") as error:
        site.reload()
    thread.join()
    assert error.value.step is Step.VERIFY


def test_an_upgrade_in_place_is_refused_before_anything_is_touched(
    make_nginx: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    site = Site(make_nginx(daemon=True))
    site.nginx.start()
    old = site.nginx.pid
    os.kill(old, signal.SIGUSR2)
    eventually(lambda: site.nginx.pid not in (0, old))
    try:
        with pytest.raises(CommitError, match="upgraded in place") as error:
            site.reloader.verify_setup()
        assert error.value.step is Step.STAGE
    finally:
        os.kill(old, signal.SIGTERM)
    eventually(lambda: not Path(f"{site.nginx.pid_file}.oldbin").exists())
    site.reloader.verify_setup()


def test_a_process_without_a_master_is_refused_before_anything_is_touched(make_nginx: Callable[..., Any]) -> None:
    site = Site(make_nginx(main="master_process off;\n"))
    with pytest.raises(CommitError, match="master_process off") as error:
        site.reloader.verify_setup()
    assert error.value.step is Step.STAGE


def test_a_missing_binary_is_refused_before_anything_is_touched() -> None:
    reloader = reloader_for(Command(line="/nowhere/nginx -s reload"))
    with pytest.raises(CommitError, match="/nowhere/nginx was not found") as error:
        reloader.verify_setup()
    assert error.value.step is Step.STAGE


def test_an_old_worker_that_drains_a_slow_client_delays_nothing(site: Site) -> None:
    with closing(socket.create_connection(("127.0.0.1", site.nginx.port))) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Le")
        old = site.nginx.workers()
        assert site.reload() is Proof.NEW_WORKERS
        assert any(Path(f"/proc/{pid}").exists() for pid in old), "one of the old workers still waits for its client"


def test_somebody_elses_reload_meanwhile_starts_the_proof_again(site: Site, eventually: Callable[..., Any]) -> None:
    before = site.nginx.workers()
    first: list[frozenset[int]] = []

    def reload_as_well() -> None:
        first.append(eventually(lambda: site.nginx.workers() - before))
        os.kill(site.nginx.pid, signal.SIGHUP)

    thread = threading.Thread(target=reload_as_well)
    thread.start()
    assert site.reload() is Proof.NEW_WORKERS
    thread.join()
    assert len(site.nginx.workers()) == 2
    assert not site.nginx.workers() & first[0], "what was proved is the generation that serves"


def test_workers_that_are_replaced_again_and_again_prove_nothing(site: Site) -> None:
    over = threading.Event()

    def kill_a_worker() -> None:
        while not over.wait(0.3):
            for worker in site.nginx.workers():
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)

    thread = threading.Thread(target=kill_a_worker)
    thread.start()
    try:
        with pytest.raises(CommitError, match="exited on signal 9") as error:
            site.reload()
    finally:
        over.set()
        thread.join()
    assert error.value.step is Step.VERIFY


def test_a_signal_to_the_pid_file_is_proved_as_well(make_nginx: Callable[..., Any]) -> None:
    nginx = make_nginx()
    site = Site(nginx, line=f"kill -HUP $(cat {nginx.pid_file})")
    nginx.start()
    site.serve("new")
    site.reloader.verify_setup()
    assert site.reload() is Proof.NEW_WORKERS
    assert site.body == "new"


def test_a_pid_file_that_moves_is_followed(make_nginx: Callable[..., Any]) -> None:
    nginx = make_nginx(workers=1)
    site = Site(nginx)
    nginx.start()
    site.reloader.verify_setup()
    nginx.conf.write_text(nginx.conf.read_text().replace("pid logs/nginx.pid", "pid logs/moved.pid"))
    with pytest.raises(CommitError, match=r"moved\.pid") as error:
        site.reload()
    assert error.value.step is Step.RELOAD, "nginx runs: `-s reload` looks for it in the wrong place"


def test_a_lost_pid_file_is_not_passed_over_in_silence(site: Site) -> None:
    pid = site.nginx.pid
    text = site.nginx.pid_file.read_text()
    site.nginx.pid_file.unlink()
    try:
        assert site.reload() is Proof.NOT_RUNNING
        assert "nginx masters" in site.warnings[0]
        assert str(pid) in site.warnings[0]
    finally:
        site.nginx.pid_file.write_text(text)


def test_a_pid_file_of_another_instance_than_the_checked_one_is_said(make_nginx: Callable[..., Any]) -> None:
    nginx = make_nginx()
    site = Site(nginx, line=f"kill -HUP $(cat {nginx.pid_file})")
    site.reloader.verify_setup()
    assert "signals another nginx" in site.warnings[0]


def test_cancelling_ends_the_wait_for_the_proof(site: Site, held_port: int) -> None:
    site.serve("new", more=f"server {{ listen 127.0.0.1:{held_port}; return 204; }}")
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    with pytest.raises(CommitError, match="interrupted"):  # not nginx's own word, 2.5 s later
        site.reload(cancel=cancel)


def test_commands_for_one_master_take_turns(make_nginx: Callable[..., Any]) -> None:
    nginx = make_nginx()
    by_option = reloader_for(Command(line=nginx.reload_command))
    by_signal = reloader_for(Command(line=f"kill -HUP $(cat {nginx.pid_file})"))
    other = reloader_for(Command(line=make_nginx().reload_command))
    assert by_option.turn == by_signal.turn != other.turn
