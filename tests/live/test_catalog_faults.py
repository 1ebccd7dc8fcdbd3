"""What a catalog, and the way to it, may do to answers: nothing of it empties or halves a file.

A fault proxy stands in front of a real Consul; seen is a real file, what the log says, and `ctemplate status`.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

import fault_proxy
from fault_proxy import FaultProxy

TEMPLATE = """\
{% for name in ["web", "api"] %}
{% for i in service(name) %}
server {{ i.endpoint }}; # {{ name }}
{% endfor %}
{% endfor %}
"""


class Desk:
    """ctemplate behind a fault proxy, and the file that it keeps."""

    def __init__(self, directory: Path, launcher, consul, proxy: FaultProxy, eventually) -> None:
        self.launcher = launcher
        self.consul = consul
        self.proxy = proxy
        self.eventually = eventually
        self.template = directory / "t.j2"
        self.out = directory / "out.conf"
        self.template.write_text(TEMPLATE)
        self.register("web", 1, 2)
        self.register("api", 11)

    def start(self, *more: str):
        pair = f"{self.template}:{self.out}"
        running = self.launcher("-consul-addr", self.proxy.address, "-template", pair, *more)
        running.wait_for("committed")
        return running

    def register(self, name: str, *ports: int) -> None:
        for port in ports:
            self.consul.register(name, id=f"{name}-{port}", port=port, address="127.0.0.1")

    def follows(self, *ports: int, timeout: float = 30.0) -> None:
        """Wait until the file has exactly these ports."""
        self.eventually(lambda: self.ports() == list(ports), timeout)

    def ports(self) -> list[int]:
        return [int(line.split(":")[1].split(";")[0]) for line in self.out.read_text().splitlines()]

    def status(self):
        done = self.launcher.run("status", "-json")
        return done.code, json.loads(done.out)


@pytest.fixture
def proxy(consul):
    proxy = FaultProxy(consul.address)
    yield proxy
    proxy.close()


@pytest.fixture
def desk(tmp_path: Path, ctemplate, consul, proxy, eventually):
    return Desk(tmp_path, ctemplate, consul, proxy, eventually)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param(fault_proxy.reset, "reset", id="reset"),
        pytest.param(fault_proxy.reset_in_the_body, "reset", id="reset in the body"),
        pytest.param(fault_proxy.status(429), "http_max_conns_per_client", id="429"),
        pytest.param(fault_proxy.status(500), "500: a fault", id="500"),
        pytest.param(fault_proxy.status(503), "503", id="503"),
        pytest.param(fault_proxy.status(302), "redirect", id="redirect"),
        pytest.param(fault_proxy.status(404), "not Consul", id="404"),
        pytest.param(fault_proxy.body(b'[{"Node": {'), "shape", id="wrong JSON"),
        pytest.param(fault_proxy.body(b'{"error": "none"}'), "shape", id="wrong shape"),
        pytest.param(fault_proxy.body(b"null"), "shape", id="null"),
        pytest.param(fault_proxy.body(b'[{"Node": {"Node": "n"}}]'), "shape", id="half a record"),
        pytest.param(fault_proxy.body(b""), "shape", id="empty body"),
        pytest.param(fault_proxy.without_index, "no X-Consul-Index", id="not Consul"),
        pytest.param(fault_proxy.enormous, "larger than", id="a terabyte"),
    ],
)
def test_an_error_of_one_service_keeps_it_and_holds_up_nobody_else(desk: Desk, fault, said):
    running = desk.start()
    desk.proxy.fault(fault, on="/service/web")
    desk.register("web", 3)
    line = running.wait_for("service(web) has no current answer", timeout=20)
    assert said in line
    desk.register("api", 12)
    desk.follows(1, 2, 11, 12)
    desk.eventually(lambda: any("service(web)" in text for text in desk.status()[1]["catalogs"][0]["failing"]))
    desk.proxy.clear()
    if "tried again slowly" in line:
        running.send(signal.SIGHUP)
    desk.follows(1, 2, 3, 11, 12)
    running.wait_for("service(web) is answered again")


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault_proxy.byte_by_byte, id="a byte a second"),
        pytest.param(fault_proxy.silence, id="never an answer"),
    ],
)
def test_a_service_that_is_not_answered_in_full_stays_as_it_is_while_others_go_on(desk: Desk, fault):
    desk.start()
    desk.proxy.fault(fault, on="/service/web")
    desk.register("web", 3)
    desk.register("api", 12)
    desk.follows(1, 2, 11, 12)
    desk.proxy.clear()
    desk.follows(1, 2, 3, 11, 12)


def test_a_catalog_that_refuses_connections_is_one_line_and_its_age_is_seen(desk: Desk):
    running = desk.start()
    before = desk.out.read_bytes()
    desk.proxy.refuse()
    running.wait_for("is away")
    desk.register("web", 3)

    def is_away() -> bool:
        code, status = desk.status()
        since = status["templates"][0]["data_since"]  # none in the first status, of before the first answer
        return code == 0 and since is not None and not status["catalogs"][0]["connected"] and since < status["written"]

    desk.eventually(is_away)
    assert desk.out.read_bytes() == before
    desk.proxy.clear()
    running.wait_for("is back")
    desk.follows(1, 2, 3, 11)
    assert sum("is away" in line for line in running.lines) == 1


@pytest.mark.torture(only=True)
def test_a_body_without_end_is_bounded(desk: Desk):
    running = desk.start()
    desk.proxy.fault(fault_proxy.endless, on="/service/web")
    desk.register("web", 3)
    assert "larger than" in running.wait_for("service(web) has no current answer", timeout=60)
    desk.proxy.clear()
    desk.follows(1, 2, 3, 11)


@pytest.mark.parametrize("fault", [fault_proxy.index_backwards, fault_proxy.index_that_stands])
def test_an_index_that_lies_loses_no_change(desk: Desk, fault):
    running = desk.start()
    desk.proxy.fault(fault)
    for port in (3, 4, 5):
        desk.register("web", port)
        desk.follows(*range(1, port + 1), 11)
    assert "no current answer" not in running.text


def test_a_server_that_answers_less_just_after_its_start_is_not_believed(desk: Desk):
    """The agent stays, and its server changes: no error is seen, only less, with status 200."""
    running = desk.start()
    desk.proxy.fault(fault_proxy.starting_server)
    desk.register("web", 3)
    desk.follows(1, 2, 3, 11)
    assert "is held" not in running.text
    assert all("0 instances" not in line for line in running.lines)


def test_a_server_that_answers_less_after_a_reconnection_is_not_believed(desk: Desk):
    running = desk.start()
    desk.proxy.refuse()
    running.wait_for("is away")
    desk.register("web", 3)
    desk.proxy.fault(fault_proxy.starting_server)
    desk.proxy.listen()
    running.wait_for("is back")
    desk.follows(1, 2, 3, 11)
    assert "is held" not in running.text


TWENTY = """\
{% for n in range(20) %}
{% set name = "s%02d"|format(n) %}
upstream {{ name }} {
{% for i in service(name) %}
    server {{ i.endpoint }} max_fails=0;
{% endfor %}
}
{% endfor %}
server {
    listen %PORT%;
{% for n in range(20) %}
{% set name = "s%02d"|format(n) %}
    location /{{ name }} { proxy_pass http://{{ name }}; }
{% endfor %}
}
"""


@pytest.mark.parametrize(("code", "said"), [(500, "500"), (403, "the token needs")])
def test_one_service_of_twenty_that_is_answered_by_an_error_keeps_its_upstream_while_the_others_follow(
    desk: Desk, make_nginx, make_backend, code, said
):
    nginx = make_nginx()
    nginx.start()
    blue, green = make_backend("blue"), make_backend("green")
    for n in range(20):
        desk.consul.register(f"s{n:02d}", port=blue.port, address="127.0.0.1")
    desk.template.write_text(TWENTY.replace("%PORT%", str(nginx.port)))
    config = desk.template.with_name("c.toml")
    config.write_text(
        f"consul_addr = '{desk.proxy.address}'\n[[template]]\nsource = '{desk.template}'\n"
        f"destination = '{nginx.conf_d / 'app.conf'}'\ncommand = '{nginx.reload_command}'\n"
    )
    running = desk.launcher("-config", config)
    running.wait_for("proof: new workers")
    desk.proxy.fault(fault_proxy.status(code), on="/service/s07")
    for n in range(20):
        desk.consul.register(f"s{n:02d}", port=green.port, address="127.0.0.1")
    assert said in running.wait_for("service(s07) has no current answer")

    def served() -> list[str]:
        return [nginx.get(f"/s{n:02d}")[1] for n in range(20)]

    desk.eventually(lambda: served() == ["blue" if n == 7 else "green" for n in range(20)], 20)
    desk.proxy.clear()
    running.send(signal.SIGHUP)  # what was refused is asked again slowly
    desk.eventually(lambda: served() == ["green"] * 20, 20)
