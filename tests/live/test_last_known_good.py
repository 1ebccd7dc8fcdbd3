"""What an operator sees of the last known good and of the age of the data: a catalog that is away at start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fault_proxy import FaultProxy

ALL = """\
{% for s in services() if s.name != "consul" %}
{% for i in service(s.name) %}
server {{ i.endpoint }}; # {{ s.name }}
{% endfor %}
{% endfor %}
"""


class Desk:
    """A template behind a proxy that can go away."""

    def __init__(self, directory: Path, launcher, consul, proxy: FaultProxy) -> None:
        self.launcher = launcher
        self.consul = consul
        self.proxy = proxy
        self.template = directory / "t.j2"
        self.out = directory / "out.conf"
        self.template.write_text(ALL)
        for port in (1, 2):
            consul.register("web", id=f"web-{port}", port=port, address="127.0.0.1")

    @property
    def arguments(self) -> list[str]:
        return ["-consul-addr", self.proxy.address, "-template", f"{self.template}:{self.out}"]

    def start(self, *more: str):
        return self.launcher(*self.arguments, *more)

    def once(self, *more: str):
        return self.launcher.run(*self.arguments, "-once", *more)

    def status(self):
        done = self.launcher.run("status", "-json")
        return done.code, json.loads(done.out)


@pytest.fixture
def desk(tmp_path: Path, ctemplate, consul):
    proxy = FaultProxy(consul.address)
    yield Desk(tmp_path, ctemplate, consul, proxy)
    proxy.close()


def test_a_missing_file_is_rendered_from_what_was_last_committed_until_the_catalog_answers(desk: Desk, eventually):
    assert desk.once().code == 0
    before = desk.out.read_bytes()
    desk.out.unlink()
    desk.proxy.refuse()
    running = desk.start("-stale-start")
    running.wait_for("is rendered from what was last committed, as of 2")
    running.wait_for("proof: no command")
    assert desk.out.read_bytes() == before
    eventually(lambda: desk.status()[1]["templates"][0]["stale"])
    assert "its catalog has not answered yet" in desk.launcher.run("status").out
    desk.consul.register("web", id="web-3", port=3, address="127.0.0.1")
    desk.proxy.clear()
    running.wait_for("follows its catalog again", timeout=30)
    eventually(lambda: b":3;" in desk.out.read_bytes())
    eventually(lambda: not desk.status()[1]["templates"][0]["stale"])


def test_without_stale_start_a_missing_file_is_waited_for(desk: Desk):
    assert desk.once().code == 0
    desk.out.unlink()
    desk.proxy.refuse()
    running = desk.start()
    running.wait_for("is away")
    running.stop()
    assert not desk.out.exists()


def test_a_file_that_is_there_stays_as_it_is_whatever_was_committed(desk: Desk):
    assert desk.once().code == 0
    desk.out.write_text("by hand\n")
    desk.proxy.refuse()
    running = desk.start("-stale-start")
    running.wait_for("is away")
    running.stop()
    assert desk.out.read_text() == "by hand\n"


def test_once_waits_for_the_catalog_first_and_ends_with_3(desk: Desk):
    assert desk.once().code == 0
    before = desk.out.read_bytes()
    desk.out.unlink()
    desk.proxy.refuse()
    done = desk.once("-stale-start", "-timeout", "1")
    assert (done.code, "is rendered from what was last committed" in done.err) == (3, True)
    assert desk.out.read_bytes() == before


def test_values_of_keys_are_kept_only_where_that_is_asked_for(desk: Desk):
    desk.consul.kv_put("password", "s3cr3t-of-the-day")
    desk.template.write_text('{{ key("password") }}\n')
    kept = desk.launcher.state_dir / "last-good.json"
    assert desk.once().code == 0
    assert "s3cr3t" not in kept.read_text()
    desk.out.unlink()
    assert desk.once("-keep-keys").code == 0
    assert "s3cr3t" in kept.read_text()


def test_data_that_grow_too_old_are_an_alarm_once_and_it_ends(desk: Desk, eventually):
    running = desk.start("-max-age", "2s")
    running.wait_for("without a cause")
    line = running.wait_for("longer than max_age", timeout=30)
    assert "ERROR" in line
    eventually(lambda: desk.status()[0] == 1)
    assert "its data are older than max_age" in desk.launcher.run("status").out
    assert sum("longer than max_age" in line for line in running.lines) == 1
    desk.consul.register("web", id="web-3", port=3, address="127.0.0.1")
    desk.consul.register("more", port=4, address="127.0.0.1")
    running.wait_for("is current again")
