"""nginx serves while etcd or ZooKeeper is killed, frozen, cut off or comes back empty: seen from the outside."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.wire import Wire

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
SECONDS = 45.0
"""etcd's slowest way back from a silent connection: a read every 30 s, given up after 10 s."""


class Registry:
    """A server, a wire before it, and how instances get there."""

    def __init__(self, server: Any, wire: Wire, url: str, put: Callable[[str, int], None]) -> None:
        self.server = server
        self.url = url
        self.put = put
        self.breaks = {"killed": server.kill, "frozen": server.pause, "cut off": wire.hold}
        self.heals = {"killed": server.start, "frozen": server.resume, "cut off": wire.release}


@pytest.fixture(params=["etcd", "zookeeper"])
def registry(request: pytest.FixtureRequest, free_port) -> Iterator[Registry]:
    port = free_port()
    url = f"{request.param}://127.0.0.1:{port}/services"
    if request.param == "etcd":
        (server,) = request.getfixturevalue("make_etcd")()

        def put(name: str, port: int) -> None:
            server.put(f"/services/web/{name}", f"127.0.0.1:{port}")
    else:
        server = request.getfixturevalue("make_zookeeper")()

        def put(name: str, port: int) -> None:
            server.put(f"/services/web/{name}", {"id": name, "address": "127.0.0.1", "port": port})

    host, _, own = server.address.rpartition(":")
    with contextlib.closing(Wire((host, int(own)), listen=("127.0.0.1", port))) as wire:
        yield Registry(server, wire, url, put)


class Rig:
    """An nginx, and a ctemplate that keeps its upstream."""

    def __init__(self, nginx, ctemplate, registry: Registry, directory: Path, make_backend) -> None:
        self.nginx = nginx
        self.conf = nginx.conf_d / "app.conf"
        self._registry = registry
        self._make_backend = make_backend
        nginx.start()
        for name in ("one", "two"):
            self.add(name)
        template = directory / "app.ctmpl"
        template.write_text(UPSTREAM.replace("%PORT%", str(nginx.port)))
        pair = f"{template}:{self.conf}:{nginx.reload_command}"
        self.running = ctemplate("-catalog", registry.url, "-template", pair)
        self.running.wait_for("proof: new workers", timeout=30)

    def add(self, name: str) -> None:
        self._registry.put(name, self._make_backend(name).port)

    def served(self) -> set[str]:
        """Who answers, over enough requests to hear everybody."""
        with contextlib.suppress(ConnectionRefusedError):
            return {self.nginx.get()[1] for _ in range(12)}
        return set()


@pytest.fixture
def rig(registry: Registry, make_nginx, ctemplate, tmp_path: Path, make_backend) -> Rig:
    return Rig(make_nginx(), ctemplate, registry, tmp_path, make_backend)


@pytest.mark.parametrize("how", ["killed", "frozen", "cut off"])
@pytest.mark.timeout(150)
def test_an_upstream_loses_nothing_by_an_outage_and_follows_after_it(
    rig: Rig, registry: Registry, how: str, eventually
):
    before = rig.conf.read_bytes()
    assert rig.served() == {"one", "two"}
    registry.breaks[how]()
    if how == "killed" or registry.url.startswith("zookeeper"):  # etcd's silence shows at the next read, in 30 s
        rig.running.wait_for("away", timeout=30)
    assert rig.served() == {"one", "two"}
    assert rig.conf.read_bytes() == before
    registry.heals[how]()
    rig.add("three")
    eventually(lambda: rig.served() == {"one", "two", "three"}, SECONDS)


@pytest.mark.timeout(150)
def test_a_server_that_comes_back_empty_empties_no_upstream(rig: Rig, registry: Registry, ctemplate, eventually):
    before = rig.conf.read_bytes()
    registry.server.kill()
    rig.running.wait_for("away", timeout=30)
    registry.server.wipe()
    registry.server.start()
    if registry.url.startswith("etcd"):  # it says so with success: what is left is the guard
        rig.running.wait_for("web is held", timeout=SECONDS)
    else:
        eventually(lambda: "come back empty" in (said := ctemplate.run("status")).out + said.err, SECONDS)
    assert rig.conf.read_bytes() == before
    assert rig.served() == {"one", "two"}
    for name in ("one", "two", "three"):
        rig.add(name)
    eventually(lambda: rig.served() == {"one", "two", "three"}, SECONDS)
