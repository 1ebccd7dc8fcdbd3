"""docs/pipelines.md as written: each configuration there, on its real servers, gives nginx the same upstream.

The template is the one that we ship, unchanged; only addresses and directories are put in place of the page's own.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from contract.eureka_model import EurekaModel

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/pipelines.md").read_text()
SECTIONS = {
    section.partition("\n")[0]: found[1]
    for section in PAGE.split("\n## ")[1:]
    if (found := re.search(r"```toml\n(.*?)```", section, re.DOTALL))
}
"""The configuration of each pipeline by its heading."""
SITE = "server { listen 127.0.0.1:%d; location / { proxy_pass http://web; } }\n"


class Consul:
    """Its agent, to which the page's `ctemplate register` takes the containers of an engine."""

    heading = "Docker, Registrator and Consul"
    page_url = "consul://127.0.0.1:8500"

    def __init__(self, request) -> None:
        self._agent = request.getfixturevalue("consul")
        self._containers = Docker(request)
        self._launcher = request.getfixturevalue("ctemplate")
        self._eventually = request.getfixturevalue("eventually")
        self.url = f"consul://{self._agent.address}"

    def register(self, number: int, port: int) -> None:
        self._containers.register(number, port)
        if number == 1:
            [command] = re.findall(r"^ctemplate (register .*)$", PAGE, re.MULTILINE)
            places = {"docker://": self._containers.url, self.page_url: self.url}
            self._launcher(*(places.get(word, word) for word in command.split()))
        self._eventually(lambda: number == len(self._agent.get("/v1/health/service/web", passing="1")), 20)


class Etcd:
    heading = "Docker, Registrator and etcd"
    page_url = "etcd://127.0.0.1:2379/"

    def __init__(self, request) -> None:
        self._server = request.getfixturevalue("etcd")
        self.url = f"etcd://{self._server.address}/"

    def register(self, number: int, port: int) -> None:
        self._server.put(f"/services/web/host:web-{number}:80", f"127.0.0.1:{port}")


class Docker:
    heading = "Docker alone"
    page_url = "docker:///var/run/docker.sock"

    def __init__(self, request) -> None:
        self._engine = request.getfixturevalue("docker")
        self.url = self._engine.url

    def register(self, number: int, port: int) -> None:
        published = {"80/tcp": f"127.0.0.1:{port}"}
        self._engine.run(f"web-{number}", env={"SERVICE_NAME": "web"}, published=published)


class ZooKeeper:
    """As nerve registers."""

    heading = "ZooKeeper"
    page_url = "zookeeper://127.0.0.1:2181/"

    def __init__(self, request) -> None:
        pytest.importorskip("kazoo")
        self._server = request.getfixturevalue("zookeeper")
        self.url = f"zookeeper://{self._server.address}/"

    def register(self, number: int, port: int) -> None:
        record = {"host": "127.0.0.1", "port": port, "name": f"host-{number}"}
        self._server.put(f"/nerve/services/web/services/host-{number}_{number:010}", record)


class SmartStack:
    heading = "SmartStack"
    page_url = "smartstack:/var/run/synapse/services"

    def __init__(self, request) -> None:
        self._directory = request.getfixturevalue("tmp_path") / "synapse"
        self._directory.mkdir()
        self._backends: list[dict[str, object]] = []
        self.url = f"smartstack:{self._directory}"

    def register(self, number: int, port: int) -> None:
        self._backends.append({"name": f"host-{number}", "host": "127.0.0.1", "port": port, "id": number})
        part = self._directory / ".web.json.tmp"
        part.write_text(json.dumps(self._backends))
        part.rename(self._directory / "web.json")


class Eureka:
    """Its fault model: the real server is tried by `make test-eureka`."""

    heading = "Eureka"
    page_url = "eureka://127.0.0.1:8761/"

    def __init__(self, request) -> None:
        self._model = EurekaModel()
        request.addfinalizer(self._model.stop)
        self.url = f"eureka://127.0.0.1:{self._model.port}/"

    def register(self, number: int, port: int) -> None:
        self._model.put("web", f"web-{number}", port)


CATALOGS = (Consul, Etcd, Docker, ZooKeeper, SmartStack, Eureka)


@pytest.fixture
def adapted(tmp_path, make_nginx):
    """`adapted(heading, {url: url})`: the page's configuration for this test's places, and the nginx that it is for."""

    def adapt(heading: str, urls: dict[str, str]):
        nginx = make_nginx(workers=1)
        (nginx.conf_d / "site.conf").write_text(SITE % nginx.port)
        text = SECTIONS[heading]
        places = {
            "/etc/ctemplate/": f"{ROOT / 'templates'}/",
            "/etc/nginx/conf.d/": f"{nginx.conf_d}/",
            "nginx -s reload": nginx.reload_command,
            **urls,
        }
        for ours, here in places.items():
            assert ours in text, ours
            text = text.replace(ours, here)
        (tmp_path / "ctemplate.toml").write_text(text)
        return nginx

    return adapt


@pytest.mark.parametrize("catalog", CATALOGS, ids=lambda catalog: catalog.__name__.lower())
def test_a_pipeline_gives_nginx_the_same_upstream_from_every_catalog(
    catalog, request, adapted, make_backend, ctemplate, tmp_path
):
    backends = [make_backend("one"), make_backend("two")]
    server = catalog(request)
    nginx = adapted(catalog.heading, {catalog.page_url: server.url})
    for number, backend in enumerate(backends, start=1):
        # A container would hold the port of its own namespace, where nobody answers.
        server.register(number, backend.port)
    done = ctemplate.run("-once", "-config", "ctemplate.toml")
    assert done.code == 0, done.err
    lines = "".join(f"    server {backend.address} weight=1;\n" for backend in backends)
    assert upstream(nginx) == "upstream web {\n" + lines + "}\n"
    nginx.start()
    assert {nginx.get()[1] for _ in range(8)} == {"one", "two"}


def test_the_move_from_one_catalog_to_another_is_one_upstream(request, adapted, make_backend, ctemplate, tmp_path):
    backends = [make_backend("one"), make_backend("two"), make_backend("three")]
    first, second = Consul(request), SmartStack(request)
    nginx = adapted("Moving from one to another", {server.page_url: server.url for server in (first, second)})
    first.register(1, backends[0].port)
    for number, backend in enumerate(backends, start=1):
        second.register(number, backend.port)
    done = ctemplate.run("-once", "-config", "ctemplate.toml")
    assert done.code == 0, done.err
    assert upstream(nginx).count("server ") == 3
    nginx.start()
    assert {nginx.get()[1] for _ in range(12)} == {"one", "two", "three"}


def test_every_configuration_of_the_page_is_tried():
    tried = {catalog.heading for catalog in CATALOGS} | {"Moving from one to another", "keepalived in front"}
    assert tried == set(SECTIONS)


def upstream(nginx) -> str:
    """The upstream of `web` in what was written; Consul's agent lists a service of its own besides."""
    text = (nginx.conf_d / "upstreams.conf").read_text()
    found = re.search(r"upstream web \{.*?^\}\n", text, re.DOTALL | re.MULTILINE)
    assert found is not None, text
    return found[0]
