"""The process as an operator meets it: signals, a broken configuration, two at once, systemd, exit codes."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import psutil
import pytest

WEB = "services: {{web: [{{address: 127.0.0.1, port: {port}}}]}}\n"
TEMPLATE = '{% for i in service("web") %}server {{ i.endpoint }};\n{% endfor %}'
RUNS_AWAY = "{% for i in range(10 ** 6) %}{% for j in range(10 ** 6) %}{% endfor %}{% endfor %}"


class Desk:
    """A file of services, a template and a destination."""

    def __init__(self, directory: Path, launcher) -> None:
        self.launcher = launcher
        self.services = directory / "services.yaml"
        self.template = directory / "t.j2"
        self.out = directory / "out.conf"
        self.services.write_text(WEB.format(port=1))
        self.template.write_text(TEMPLATE)
        self.arguments = ["-catalog", f"file:{self.services}"]

    def pair(self, command: str = "") -> list[str]:
        return ["-template", f"{self.template}:{self.out}" + (f":{command}" if command else "")]

    def start(self, *more: str, command: str = "", env=None):
        return self.launcher(*self.arguments, *self.pair(command), *more, env=env)

    def run(self, *more: str, command: str = ""):
        return self.launcher.run(*self.arguments, *self.pair(command), *more)


@pytest.fixture
def desk(tmp_path: Path, ctemplate):
    return Desk(tmp_path, ctemplate)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_between_transactions(desk: Desk, number):
    running = desk.start()
    running.wait_for("committed")
    assert running.stop(number) == 0


def test_a_signal_waits_for_the_transaction_and_a_second_one_restores(desk: Desk, tmp_path: Path):
    running = desk.start("-check", "", command=f"touch {tmp_path}/began; [ -e {tmp_path}/fast ] || exec sleep 20")
    desk.launcher.directory.joinpath("fast").touch()
    running.wait_for("committed")
    before = desk.out.read_bytes()
    (tmp_path / "fast").unlink()
    (tmp_path / "began").unlink()
    desk.services.write_text(WEB.format(port=2))
    running.eventually((tmp_path / "began").exists)
    running.send(signal.SIGTERM)
    running.wait_for("under way")
    (tmp_path / "fast").touch()  # the old state can be reloaded
    running.send(signal.SIGTERM)
    running.wait()
    assert desk.out.read_bytes() == before


def test_a_template_that_runs_away_does_not_keep_sigterm_from_working(desk: Desk):
    desk.template.write_text(RUNS_AWAY)
    running = desk.start()
    running.eventually(lambda: psutil.Process(running.pid).cpu_times().user > 2)  # a start takes less than one
    running.send(signal.SIGTERM)
    assert running.wait(timeout=20.0) == 0
    assert "cannot render" not in running.text  # nor did its time limit end it


def test_name_servers_that_never_answer_do_not_keep_sigterm_from_working(desk: Desk, tmp_path: Path, namespaced):
    (tmp_path / "resolv.conf").write_text("nameserver 10.9.9.9\noptions timeout:20 attempts:3\n")
    setup = (
        "ip link add void type veth peer name beyond && ip addr add 10.9.9.1/24 dev void"
        " && ip link set beyond up && ip link set void arp off up"
        f" && mount --bind {tmp_path}/resolv.conf /etc/resolv.conf"
    )
    desk.arguments = ["-consul-addr", "nowhere.example:8500"]
    desk.launcher.prefix = namespaced(setup)
    running = desk.start()
    running.wait_for("no connection within")
    running.send(signal.SIGTERM)
    assert running.process.wait(10) == 0


def test_edits_of_template_include_and_services_take_effect_without_a_restart(desk: Desk, tmp_path: Path):
    (tmp_path / "part.j2").write_text("one\n")
    desk.template.write_text('{% include "part.j2" %}' + TEMPLATE)
    running = desk.start()
    running.eventually(lambda: desk.out.exists() and desk.out.read_text() == "one\nserver 127.0.0.1:1;\n")
    (tmp_path / "part.j2").write_text("two\n")
    running.eventually(lambda: desk.out.read_text() == "two\nserver 127.0.0.1:1;\n")
    desk.services.write_text(WEB.format(port=2))
    running.eventually(lambda: desk.out.read_text() == "two\nserver 127.0.0.1:2;\n")
    desk.template.write_text("plain\n")
    running.eventually(lambda: desk.out.read_text() == "plain\n")


def test_sighup_refuses_a_broken_configuration_as_a_whole_and_takes_a_good_one(desk: Desk, tmp_path: Path):
    config = tmp_path / "c.toml"
    good = f"[[template]]\nsource = '{desk.template}'\ndestination = '{desk.out}'\n"
    config.write_text(good)
    running = desk.launcher(*desk.arguments, "-config", str(config))
    running.wait_for("committed")
    config.write_text(good + "colour = 'red'\n")
    running.send(signal.SIGHUP)
    running.wait_for("is refused")
    desk.services.write_text(WEB.format(port=2))
    running.eventually(lambda: desk.out.read_text() == "server 127.0.0.1:2;\n")
    other = tmp_path / "other.conf"
    config.write_text(good + good.replace(str(desk.out), str(other)))
    running.send(signal.SIGHUP)
    running.eventually(lambda: other.exists() and other.read_text() == "server 127.0.0.1:2;\n")


def test_a_template_that_leaves_while_its_command_is_pending_takes_nobody_along(desk: Desk, tmp_path: Path):
    config, other, well = tmp_path / "c.toml", tmp_path / "other.conf", tmp_path / "well"
    command = f"command = 'test -e {well}'\non_failure = 'keep'\n"
    one = f"[[template]]\nsource = '{desk.template}'\ndestination = '{desk.out}'\n{command}"
    config.write_text(one + one.replace(str(desk.out), str(other)))
    running = desk.launcher(*desk.arguments, "-config", str(config))
    running.eventually(lambda: other.exists() and desk.out.exists())
    config.write_text(one)
    running.send(signal.SIGHUP)
    running.wait_for("read the configuration again")

    def status() -> str:
        return desk.launcher.run("status", "-state-dir", str(desk.launcher.state_dir)).out

    for port, pending in ((2, True), (3, False)):  # the command fails, then it does what it was to do for both
        if not pending:
            well.touch()
        desk.services.write_text(WEB.format(port=port))
        running.eventually(lambda port=port: desk.out.read_text() == f"server 127.0.0.1:{port};\n")
        running.eventually(lambda pending=pending: ("exit 1" in status()) is pending and "committed" in status())
        assert str(other) not in status()
        assert running.process.poll() is None


def test_sighup_takes_over_another_catalog_and_another_log_format(desk: Desk, tmp_path: Path):
    config = tmp_path / "c.toml"
    text = f"catalog = 'file:{desk.services}'\n[[template]]\nsource = '{desk.template}'\ndestination = '{desk.out}'\n"
    config.write_text(text)
    running = desk.launcher("-config", str(config))
    running.wait_for("committed")
    other = tmp_path / "elsewhere.yaml"
    other.write_text(WEB.format(port=3))
    config.write_text("log_format = 'json'\n" + text.replace(str(desk.services), str(other)))
    running.send(signal.SIGHUP)
    running.eventually(lambda: desk.out.read_text() == "server 127.0.0.1:3;\n")
    running.wait_for('"event":"CommitDone"')
    assert "next start" not in running.text


def test_sighup_refuses_a_catalog_that_is_none_and_keeps_the_running_one(desk: Desk, tmp_path: Path):
    config = tmp_path / "c.toml"
    text = f"catalog = 'file:{desk.services}'\n[[template]]\nsource = '{desk.template}'\ndestination = '{desk.out}'\n"
    config.write_text(text)
    running = desk.launcher("-config", str(config))
    running.wait_for("committed")
    config.write_text(text.replace("file:", "fiel:"))
    running.send(signal.SIGHUP)
    running.wait_for("is refused")
    desk.services.write_text(WEB.format(port=2))
    running.eventually(lambda: desk.out.read_text() == "server 127.0.0.1:2;\n")


def test_a_destination_that_someone_changed_is_put_right_at_sighup(desk: Desk):
    running = desk.start()
    running.wait_for("committed")
    desk.out.write_text("by hand\n")
    running.send(signal.SIGHUP)
    running.eventually(lambda: desk.out.read_text() == "server 127.0.0.1:1;\n")


def test_a_second_one_on_the_same_destination_is_refused_with_the_firsts_process_id(desk: Desk, tmp_path: Path):
    running = desk.start()
    running.wait_for("committed")
    second = desk.run("-once", "-state-dir", str(tmp_path / "other-state"))
    assert second.code == 1
    assert str(running.pid) in second.err


def test_status_tells_a_live_daemon_from_a_dead_one_and_from_one_that_needs_a_person(desk: Desk):
    running = desk.start()
    running.wait_for("committed")
    running.eventually(lambda: desk.launcher.run("status").code == 0)
    desk.template.write_text("{{ nothing }}")
    running.wait_for("cannot render")
    running.eventually(lambda: desk.launcher.run("status").code == 1)
    told = json.loads(desk.launcher.run("status", "-json").out)
    assert told["templates"][0]["state"] == "failed"
    running.stop()
    dead = desk.launcher.run("status")
    assert (dead.code, "not running since" in dead.out) == (1, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_status_asked_by_another_user_says_whom_to_ask(desk: Desk, tmp_path: Path):
    assert desk.run("-once").code == 0
    for directory in (tmp_path, *tmp_path.parents[:3]):
        directory.chmod(0o755)
    desk.launcher.prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    asked = desk.launcher.run("status", "-state-dir", str(desk.launcher.state_dir))
    assert asked.code == 1
    assert "ask as root" in asked.err, asked.err


def test_systemd_hears_ready_reloading_status_watchdog_and_stopping(desk: Desk, tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        heard = ""

        def hear(word: str) -> bool:
            nonlocal heard
            deadline = time.monotonic() + 10
            while word not in heard and time.monotonic() < deadline:
                heard += manager.recv(4096).decode() + "\n"
            return word in heard

        env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        running = desk.start(env=env)
        assert hear("READY=1")
        assert desk.out.exists()
        assert hear("WATCHDOG=1")
        running.send(signal.SIGHUP)
        assert hear("RELOADING=1\nMONOTONIC_USEC=")
        running.send(signal.SIGTERM)
        assert hear("STOPPING=1")


@pytest.mark.parametrize(
    ("template", "arguments", "code", "word"),
    [
        (TEMPLATE, [], 0, "committed"),
        ("{{ nothing }}", [], 1, "nothing"),
        ('{{ key("a/b") }}', ["-timeout", "1s"], 3, "key(a/b): it does not exist"),
        (TEMPLATE, ["-check", "false"], 4, "rejected"),
        (TEMPLATE, ["-nonsense"], 2, "-nonsense"),
    ],
)
def test_once_says_by_its_exit_code_how_it_went(desk: Desk, template, arguments, code, word):
    desk.template.write_text(template)
    done = desk.run("-once", *arguments, command="true")
    assert (done.code, word in done.err) == (code, True), done.err


def test_dry_shows_the_difference_and_writes_nothing(desk: Desk, tmp_path: Path):
    before = sorted(tmp_path.iterdir())
    done = desk.run("-dry", command="touch ran")
    assert done.code == 5
    assert "+server 127.0.0.1:1;" in done.out.splitlines()
    assert sorted(tmp_path.iterdir()) == before
    assert desk.run("-once").code == 0
    assert desk.run("-dry").code == 0


def test_dry_names_a_destination_that_would_be_rejected(desk: Desk):
    os.mkfifo(desk.out)
    done = desk.run("-dry")
    assert (done.code, done.out) == (4, "")
    assert f"{desk.out} would be rejected" in done.err, done.err


def test_unchanged_bytes_write_nothing_and_run_nothing(desk: Desk, tmp_path: Path):
    command = f"echo ran >> {tmp_path}/ran"
    assert desk.run("-once", command=command).code == 0
    before = desk.out.stat()
    assert desk.run("-once", command=command).code == 0
    assert (desk.out.stat().st_ino, desk.out.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_where_nginx_does_not_run_the_checked_file_is_in_place_and_all_is_well(desk: Desk, make_nginx):
    nginx = make_nginx()
    desk.template.write_text('upstream web { {% for i in service("web") %}server {{ i.endpoint }};{% endfor %} }\n')
    desk.out = nginx.conf_d / "app.conf"
    done = desk.run("-once", command=nginx.reload_command)
    assert (done.code, "not_running" in done.err) == (0, True), done.err
    assert desk.out.exists()


def test_a_catalog_that_is_away_at_start_ends_no_daemon_and_touches_no_file(desk: Desk, consul):
    desk.out.write_text("old\n")
    desk.arguments = ["-consul-addr", "127.0.0.1:1"]
    running = desk.start()
    running.wait_for("is away")
    assert desk.out.read_text() == "old\n"
    assert running.process.poll() is None


def test_a_refusing_catalog_ends_once_at_once_and_names_the_rule(desk: Desk, make_consul):
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"master": "m"}}
    agent = make_consul(config={"acl": acl, "primary_datacenter": "dc1"}, token="m")
    desk.template.write_text('{{ key("a") }}')
    desk.arguments = ["-consul-addr", agent.address]
    began = time.monotonic()
    done = desk.run("-once", "-timeout", "60s")
    assert done.code == 3
    assert 'key "a"' in done.err or "key_prefix" in done.err, done.err
    assert time.monotonic() - began < 30


def test_a_health_file_says_0_from_the_start_and_outlives_the_process(desk: Desk, tmp_path: Path):
    desk.services.unlink()  # nothing is known yet
    health = tmp_path / "health"
    running = desk.start("-health-file", health)
    running.eventually(lambda: health.exists() and health.read_bytes() == b"0\n")
    assert running.stop() == 0
    assert health.read_bytes() == b"0\n"


def test_a_health_file_that_cannot_be_written_is_said_once_and_once_writes_none(desk: Desk, tmp_path: Path):
    health = tmp_path / "nowhere" / "health"
    running = desk.start("-health-file", health)
    running.wait_for("committed")
    running.wait_for("cannot write")
    health.parent.mkdir()
    running.eventually(lambda: health.exists(), 20)
    assert running.text.count("cannot write") == 1
    running.stop()
    health.unlink()
    assert desk.run("-once", "-health-file", str(health)).code == 0
    assert not health.exists()


@pytest.mark.parametrize("mode", ["-once", "-dry"])
def test_a_run_that_waits_for_data_ends_at_a_signal(desk: Desk, mode: str):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and answers nothing
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        running = desk.launcher(mode, "-timeout", "60s", "-consul-addr", address, *desk.pair())
        silent.settimeout(20)
        with silent.accept()[0]:
            running.send(signal.SIGTERM)
            assert running.wait(timeout=20.0) == 3
    assert "service(web): no answer yet" in running.text


@pytest.mark.parametrize("mode", ["-once", "-dry"])
def test_a_run_that_a_signal_ends_while_a_template_runs_does_not_say_that_all_is_well(desk: Desk, mode: str):
    desk.template.write_text(RUNS_AWAY)
    running = desk.start(mode, "-timeout", "60s")
    running.eventually(lambda: psutil.Process(running.pid).cpu_times().user > 2)  # a start takes less than one
    running.send(signal.SIGTERM)
    assert running.wait(timeout=20.0) == 3
    assert "Traceback" not in running.text
    assert "cannot render" not in running.text
    assert mode == "-once" or f"{desk.out} was not rendered" in running.text
