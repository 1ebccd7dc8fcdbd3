"""The guard from the outside: a real Consul that says less, and what stays in a real file and behind a real nginx."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ALL = """\
{% for s in services() if s.name != "consul" %}
upstream {{ s.name }} {
{% for i in service(s.name) %}
    server {{ i.endpoint }};
{% endfor %}
}
{% endfor %}
"""
TWO = """\
{% for name in ["web", "api"] %}
{% for i in service(name) %}
server {{ i.endpoint }}; # {{ name }}
{% endfor %}
{% endfor %}
"""


class Desk:
    """A template over a real Consul, its destination, and the command."""

    def __init__(self, directory: Path, launcher, consul) -> None:
        self.launcher = launcher
        self.consul = consul
        self.template = directory / "t.j2"
        self.out = directory / "out.conf"
        self.config = directory / "c.toml"
        self.write(TWO)

    def write(self, text: str, *, guard: str = "") -> None:
        self.template.write_text(text)
        tables = f"[[template]]\nsource = '{self.template}'\ndestination = '{self.out}'\n"
        self.config.write_text(f"consul_addr = '{self.consul.address}'\n[guard]\n{guard}\n{tables}")

    def start(self):
        running = self.launcher("-config", self.config)
        running.wait_for("committed")
        return running

    def once(self, *more: str):
        return self.launcher.run("-config", self.config, "-once", *more)

    def status(self):
        done = self.launcher.run("status", "-json")
        return done.code, json.loads(done.out)

    def ports(self) -> list[int]:
        lines = [line for line in self.out.read_text().splitlines() if "server" in line]
        return sorted(int(line.split(":")[1].split(";")[0]) for line in lines)

    def register(self, name: str, *ports: int, status: str = "passing") -> None:
        for port in ports:
            self.consul.register(name, id=f"{name}-{port}", port=port, address="127.0.0.1", status=status)


@pytest.fixture
def desk(tmp_path: Path, ctemplate, consul):
    return Desk(tmp_path, ctemplate, consul)


def test_checks_that_fail_for_most_of_a_service_are_held_while_everything_else_goes_on(desk: Desk, eventually):
    desk.register("web", *range(1, 5))
    desk.consul.register("web", id="web-5", port=5, address="127.0.0.1", node="node-2")
    desk.consul.register("api", id="api-11", port=11, address="127.0.0.1", node="node-2")
    running = desk.start()
    desk.consul.set_node_status("critical")
    running.wait_for("web is held")
    desk.consul.register("api", id="api-12", port=12, address="127.0.0.1", node="node-2")
    eventually(lambda: desk.ports() == [1, 2, 3, 4, 5, 11, 12])

    def is_confirmed():
        code, status = desk.status()
        return code == 0 and status["holds"] and status["holds"][0]["leader"] == "confirms it"

    eventually(is_confirmed)
    (hold,) = desk.status()[1]["holds"]
    assert (hold["service"], hold["before"]) == ("web", 5)
    assert hold["until"] > hold["since"]
    desk.consul.set_node_status("passing")
    running.wait_for("web is held no longer")
    assert sum("web is held in" in line for line in running.lines) == 1
    assert desk.ports() == [1, 2, 3, 4, 5, 11, 12]


def test_a_loss_that_lasts_goes_through(desk: Desk, eventually):
    desk.write(TWO, guard='max_hold = "500ms"')
    desk.register("web", *range(1, 6))
    running = desk.start()
    desk.consul.deregister_node()
    running.wait_for("web is released")
    running.wait_for("the catalog's leader confirms it")
    eventually(lambda: desk.ports() == [])


def test_a_hold_without_end_needs_a_person_who_releases_it(desk: Desk, eventually):
    desk.write(TWO, guard='max_hold = "forever"')
    desk.register("web", 1)
    desk.register("api", 11)
    running = desk.start()
    desk.consul.deregister("web-1")
    running.wait_for("web is held")
    eventually(lambda: desk.status()[0] == 1)
    shown = desk.launcher.run("status").out
    assert "until somebody says so, or till `ctemplate release web`" in shown
    wrong = desk.launcher.run("release", "wbe")
    assert (wrong.code, "nothing of wbe is held" in wrong.err, "held: web" in wrong.err) == (1, True, True)
    done = desk.launcher.run("release", "web")
    assert (done.code, done.out) == (0, f"released web in {desk.out}: 1 instances go\n")
    eventually(lambda: desk.ports() == [11])
    eventually(lambda: desk.status()[0] == 0)


def test_an_agent_that_comes_back_empty_empties_no_file(desk: Desk, make_consul, eventually):
    desk.consul = make_consul()
    desk.write(ALL)
    desk.register("web", 1, 2)
    desk.register("api", 11)
    running = desk.start()
    before = desk.out.read_bytes()
    desk.consul.kill()
    running.wait_for("away")
    desk.consul.start()
    running.wait_for("web is held", timeout=30)
    running.wait_for("api is held")
    assert desk.out.read_bytes() == before
    desk.register("web", 1, 2)
    desk.register("api", 11)
    running.wait_for("web is held no longer")
    running.wait_for("api is held no longer")
    assert desk.out.read_bytes() == before
    assert not any("rendered" in line for line in running.lines[running.lines.index(running.wait_for("away")) :]), (
        running.text
    )


def test_a_restart_before_an_empty_agent_remembers_what_was_committed(desk: Desk, make_consul):
    desk.consul = make_consul()
    desk.write(ALL)
    desk.register("web", 1, 2)
    running = desk.start()
    before = desk.out.read_bytes()
    running.stop()
    desk.consul.kill()
    desk.consul.start()
    again = desk.launcher("-config", desk.config)
    again.wait_for("web is held")
    again.wait_for("rendered")
    assert desk.out.read_bytes() == before
    again.stop()
    assert desk.out.read_bytes() == before


def test_once_keeps_what_is_held_commits_the_rest_and_ends_with_4(desk: Desk):
    desk.register("web", 1, 2, 3)
    desk.register("api", 11)
    assert desk.once().code == 0
    for port in (1, 2):
        desk.consul.deregister(f"web-{port}")
    desk.register("api", 12)
    dry = desk.once("-dry")
    assert (dry.code, "web is held" in dry.err, "-server 127.0.0.1:1" in dry.out) == (5, True, False)
    held = desk.once()
    assert (held.code, "web is held" in held.err) == (4, True)
    assert desk.ports() == [1, 2, 3, 11, 12]
    assert desk.once().code == 4
    assert desk.launcher.run("release", "web").out == f"no ctemplate runs in {desk.launcher.state_dir}: " + (
        "its next run releases web\n"
    )
    assert desk.once().code == 0
    assert desk.ports() == [3, 11, 12]


def test_a_damaged_file_of_what_was_committed_is_said_and_ignored(desk: Desk):
    desk.register("web", 1)
    assert desk.once().code == 0
    kept = desk.launcher.state_dir / "last-good.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.write_bytes(kept.read_bytes()[:-9])
    done = desk.once()
    assert (done.code, "last-good.json is ignored" in done.err) == (0, True)
    assert "ignored" not in desk.once().err
