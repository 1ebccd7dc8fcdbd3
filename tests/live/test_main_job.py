"""The main job from the outside: a real Consul, a real nginx with real traffic, and the installed command."""

from __future__ import annotations

import http.client
import signal
import socket
import threading
from pathlib import Path

import pytest

UPSTREAM = """\
upstream web {
{% for i in service("web") %}
    server {{ i.endpoint }} max_fails=0;
{% else %}
    server 127.0.0.1:9 down;
{% endfor %}
}
server { listen %PORT%; location / { proxy_pass http://web; proxy_next_upstream error timeout; } }
"""


class Rig:
    """An nginx that runs, a template for it, and how ctemplate is started on both."""

    def __init__(self, nginx, consul, ctemplate, directory: Path, eventually) -> None:
        self.nginx = nginx
        self.consul = consul
        self.launcher = ctemplate
        self.directory = directory
        self.eventually = eventually
        self.template = directory / "app.ctmpl"
        self.conf = nginx.conf_d / "app.conf"
        self.template.write_text(UPSTREAM.replace("%PORT%", str(nginx.port)))

    def arguments(self, *more: str, template: Path | None = None, conf: Path | None = None) -> list[str]:
        pair = f"{template or self.template}:{conf or self.conf}:{self.nginx.reload_command}"
        return ["-consul-addr", self.consul.address, "-template", pair, *more]

    def start(self, *more: str):
        running = self.launcher(*self.arguments(*more))
        running.wait_for("proof: new workers")
        return running

    def answer(self) -> str:
        """Who answers one request; empty while nobody listens."""
        try:
            status, body = self.nginx.get()
        except ConnectionRefusedError:
            return ""
        return body if status == 200 else ""

    def served(self) -> set[str]:
        """Who answers, over enough requests to hear everybody."""
        return {self.answer() for _ in range(8)}


@pytest.fixture
def rig(make_nginx, consul, ctemplate, tmp_path: Path, eventually):
    nginx = make_nginx()
    nginx.start()
    return Rig(nginx, consul, ctemplate, tmp_path, eventually)


def test_the_upstream_follows_the_service_with_one_reload_a_change(rig: Rig, make_backend):
    blue, green = make_backend("blue"), make_backend("green")
    rig.consul.register_local("web", id="blue", port=blue.port)
    running = rig.start()
    assert rig.served() == {"blue"}

    def after(change, expected: set[str]) -> None:
        mark, workers = running.mark(), rig.nginx.workers()
        change()
        running.wait_for("proof: new workers", since=mark)
        assert rig.served() == expected
        assert not workers & rig.nginx.workers()
        assert sum("committed" in line for line in running.lines[mark:]) == 1

    after(lambda: rig.consul.register_local("web", id="green", port=green.port), {"blue", "green"})
    after(lambda: rig.consul.check("blue", "fail"), {"green"})
    after(lambda: rig.consul.check("blue", "pass"), {"blue", "green"})
    after(lambda: rig.consul.maintenance(enable=True, service_id="green"), {"blue"})
    after(lambda: rig.consul.maintenance(enable=False, service_id="green"), {"blue", "green"})
    after(lambda: rig.consul.register_local("web", id="blue", port=make_backend("teal").port), {"teal", "green"})
    after(lambda: rig.consul.deregister_local("green"), {"teal"})


def test_a_node_in_maintenance_takes_its_instances_along(rig: Rig, make_backend):
    """Two nodes with one instance each: the guard lets one of two go."""
    rig.consul.register_local("web", id="here", port=make_backend("here").port)
    rig.consul.register("web", id="there", address="127.0.0.1", port=make_backend("there").port)
    running = rig.start()
    assert rig.served() == {"here", "there"}
    for enable, expected in ((True, {"there"}), (False, {"here", "there"})):
        mark = running.mark()
        rig.consul.maintenance(enable=enable)
        running.wait_for("proof: new workers", since=mark)
        assert rig.served() == expected


def test_a_tag_that_comes_or_goes_moves_an_instance_in_or_out(rig: Rig, make_backend):
    rig.template.write_text(rig.template.read_text().replace('service("web")', 'service("live.web")'))
    blue, green = make_backend("blue"), make_backend("green")
    rig.consul.register("web", id="blue", address="127.0.0.1", port=blue.port, tags=["live"])
    rig.consul.register("web", id="green", address="127.0.0.1", port=green.port)
    running = rig.start()
    assert rig.served() == {"blue"}
    for tags, expected in ((["live"], {"blue", "green"}), ([], {"blue"})):
        mark = running.mark()
        rig.consul.register("web", id="green", address="127.0.0.1", port=green.port, tags=tags)
        running.wait_for("proof: new workers", since=mark)
        assert rig.served() == expected


def test_what_nginx_refuses_is_never_live_and_the_next_good_change_commits(rig: Rig, make_backend):
    rig.consul.register_local("web", id="one", port=make_backend("one").port)
    running = rig.start()
    before, workers = rig.conf.read_bytes(), rig.nginx.workers()
    good = rig.template.read_text()
    rig.template.write_text(good.replace("server {{", "serve {{"))
    running.wait_for("rejected")
    assert rig.conf.read_bytes() == before
    assert rig.nginx.workers() == workers
    assert "unknown directive" in running.text
    mark = running.mark()
    rig.template.write_text(good.replace("max_fails=0", "max_fails=1"))
    running.wait_for("proof: new workers", since=mark)
    assert b"max_fails=1" in rig.conf.read_bytes()


def test_a_listen_port_that_another_process_holds_is_rolled_back(rig: Rig, make_backend):
    rig.consul.register_local("web", id="one", port=make_backend("one").port)
    running = rig.start()
    before = rig.conf.read_bytes()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        server = f"server {{ listen 127.0.0.1:{held.getsockname()[1]}; return 204; }}\n"
        rig.template.write_text(rig.template.read_text() + server)
        running.wait_for("rolled back", timeout=30)
    assert "bind()" in running.text
    assert rig.conf.read_bytes() == before
    assert rig.answer() == "one"


def test_a_changed_key_of_a_shared_zone_is_rolled_back(rig: Rig, make_backend):
    rig.consul.register_local("web", id="one", port=make_backend("one").port)
    zone = "limit_req_zone $binary_remote_addr zone=z:1m rate=100r/s;\n"
    rig.template.write_text(zone + rig.template.read_text())
    running = rig.start()
    before = rig.conf.read_bytes()
    rig.template.write_text(rig.template.read_text().replace("$binary_remote_addr", "$server_name"))
    running.wait_for("rolled back", timeout=30)
    assert "while previously it used" in running.text
    assert rig.conf.read_bytes() == before
    assert rig.answer() == "one"


def test_workers_that_die_at_once_are_rolled_back_and_the_service_heals(rig: Rig, make_backend):
    rig.consul.register_local("web", id="one", port=make_backend("one").port)
    rig.conf.write_text("")
    main = rig.nginx.conf.read_text()
    site = rig.template.read_text()
    rig.template.write_text(main.replace("include conf.d/*.conf;", site))
    rig.conf = rig.nginx.conf
    running = rig.start()
    good, before = rig.template.read_text(), rig.conf.read_bytes()
    rig.template.write_text("working_directory /nowhere-at-all;\n" + good)
    running.wait_for("rolled back", timeout=30)
    assert rig.conf.read_bytes() == before
    rig.eventually(lambda: rig.answer() == "one")


def test_of_two_templates_with_one_command_the_bad_one_is_held_and_named(rig: Rig, make_backend):
    rig.consul.register_local("web", id="one", port=make_backend("one").port)
    bad = rig.directory / "bad.ctmpl"
    bad.write_text("no_such_directive;\n")
    second = f"{bad}:{rig.nginx.conf_d / 'bad.conf'}:{rig.nginx.reload_command}"
    running = rig.launcher(*rig.arguments("-template", second))
    running.wait_for("proof: new workers")
    running.wait_for("rejected")
    assert rig.answer() == "one"
    assert not (rig.nginx.conf_d / "bad.conf").exists()
    assert any("rejected" in line and "bad.conf" in line for line in running.lines)


def test_an_atomic_group_changes_nothing_when_one_of_its_files_is_refused(rig: Rig):
    bad = rig.directory / "bad.ctmpl"
    bad.write_text("no_such_directive;\n")
    config = rig.directory / "ctemplate.toml"
    tables = [
        f"[[template]]\nsource = '{source}'\ndestination = '{rig.nginx.conf_d / name}'\n"
        f"command = '{rig.nginx.reload_command}'\nreload_group = 'lb'\n"
        for source, name in ((rig.template, "app.conf"), (bad, "bad.conf"))
    ]
    config.write_text("[reload_group.lb]\natomic = true\n" + "".join(tables))
    running = rig.launcher("-consul-addr", rig.consul.address, "-config", config)
    running.wait_for("rejected")
    assert list(rig.nginx.conf_d.iterdir()) == []


def test_a_reload_that_fails_once_is_tried_again_with_unchanged_data_and_proved(rig: Rig, make_backend):
    rig.consul.register_local("web", id="one", port=make_backend("one").port)
    program, *rest = rig.nginx.reload_command.split()
    flag, fails_once = rig.directory / "failed-once", rig.directory / "nginx"
    fails_once.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *"-s reload"*) [ -e {flag} ] || {{ touch {flag}; exit 1; }};; esac\n'
        f'exec {program} "$@"\n'
    )
    fails_once.chmod(0o755)
    command = " ".join([str(fails_once), *rest])
    running = rig.launcher("-consul-addr", rig.consul.address, "-template", f"{rig.template}:{rig.conf}:{command}")
    running.wait_for("rolled back")
    assert not rig.conf.exists()
    mark = running.mark()
    running.send(signal.SIGHUP)  # it would try again by itself after half a minute
    running.wait_for("proof: new workers", since=mark)
    assert rig.answer() == "one"


def test_files_stay_while_consul_is_killed_and_follow_again_after_its_return(
    rig: Rig, make_consul, make_backend, tmp_path: Path
):
    rig.consul = make_consul(data_dir=True)
    rig.consul.register("web", id="one", address="127.0.0.1", port=make_backend("one").port)
    running = rig.start()
    before = rig.conf.read_bytes()
    rig.consul.kill()
    running.wait_for("away")
    assert rig.conf.read_bytes() == before
    assert rig.answer() == "one"
    rig.consul.start()
    rig.consul.register("web", id="one", address="127.0.0.1", port=make_backend("two").port)
    rig.eventually(lambda: rig.answer() == "two", 15)


@pytest.mark.torture
def test_no_request_fails_while_the_service_changes_under_load(rig: Rig, make_backend, torture, figure):
    """A reload a change, and two threads that send one request after the other, a connection each."""
    reloads = 1_000 if torture else 10
    backends = [make_backend(f"b{n}") for n in range(3)]
    rig.consul.register("web", id="b0", address="127.0.0.1", port=backends[0].port)
    config = rig.directory / "group.toml"
    config.write_text(
        f"[[template]]\nsource = '{rig.template}'\ndestination = '{rig.conf}'\n"
        f"command = '{rig.nginx.reload_command}'\nreload_group = 'lb'\n[reload_group.lb]\ncooldown = '0.1s'\n"
    )
    running = rig.launcher("-consul-addr", rig.consul.address, "-config", config)
    running.wait_for("proof: new workers")
    failed: list[str] = []
    sent = [0]
    stop = threading.Event()

    def load() -> None:
        while not stop.wait(0.001):
            sent[0] += 1
            try:
                status, _ = rig.nginx.get()
            except (OSError, http.client.HTTPException) as error:
                failed.append(repr(error))
            else:
                if status != 200:
                    failed.append(str(status))

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for n in range(reloads):
            mark = running.mark()
            rig.consul.register("web", id="b1", address="127.0.0.1", port=backends[1 + n % 2].port)
            running.wait_for("proof: new workers", since=mark, timeout=30)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []
    assert sent[0] > 10 * reloads
    figure("reloads of nginx under load", reloads)
    figure("… requests sent meanwhile, a connection each", sent[0])
    figure("… of these failed", len(failed))


def test_a_ctemplate_that_is_killed_between_swap_and_verify_finishes_or_undoes_at_its_next_start(
    rig: Rig, make_backend
):
    rig.consul.register("web", id="one", address="127.0.0.1", port=make_backend("one").port)
    running = rig.start()
    running.stop()
    command = rig.directory / "reload.sh"
    command.write_text("#!/bin/sh\nkill -9 $(cat pid)\n")
    command.chmod(0o755)
    rig.consul.register("web", id="one", address="127.0.0.1", port=make_backend("two").port)
    pair = f"{rig.template}:{rig.conf}:{command}"
    victim = rig.launcher("-consul-addr", rig.consul.address, "-pid-file", "pid", "-template", pair)
    assert victim.wait() == -signal.SIGKILL
    assert list((rig.launcher.state_dir / "journal").iterdir()) != []
    command.write_text(f"#!/bin/sh\nexec {rig.nginx.reload_command}\n")
    again = rig.launcher("-consul-addr", rig.consul.address, "-template", pair)
    again.wait_for("was not finished")
    rig.eventually(lambda: rig.answer() == "two", 15)
    rig.eventually(lambda: list((rig.launcher.state_dir / "journal").iterdir()) == [])
