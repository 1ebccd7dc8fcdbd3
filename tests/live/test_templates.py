"""Each template that we ship, rendered over the file catalog by the installed command, is taken by its real server."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "templates"

# A service in good order, with IPv6, an odd weight and one endpoint twice; one that nobody serves; one that
# somebody named to write configuration; one without the tag.
SERVICES = """
services:
  web:
    - {id: web-1, address: 127.0.0.1, port: 8001, tags: [http], weight: 3}
    - {id: web-2, address: "::1", port: 8002, tags: [http], weight: 900}
    - {id: web-3, address: "::1", port: 8002, tags: [http]}
  api:
    - {address: 127.0.0.1, port: 8003, tags: [http], status: critical}
  "x; include /etc/passwd; y":
    - {address: 127.0.0.1, port: 8004, tags: [http]}
  hidden:
    - {address: 127.0.0.1, port: 8005}
"""


@pytest.fixture
def render(tmp_path, ctemplate):
    """`render(template, destination, vars, services=…)`: the text that `ctemplate -once` wrote."""

    def run(template: str, destination: str, variables: str, *, services: str = SERVICES) -> str:
        (tmp_path / "services.yaml").write_text(services)
        (tmp_path / "ctemplate.toml").write_text(
            f'catalog = "file:services.yaml"\n[[template]]\nsource = "{TEMPLATES / template}"\n'
            f'destination = "{destination}"\nvars = {variables}\n'
        )
        done = ctemplate.run("-once", "-config", tmp_path / "ctemplate.toml")
        assert done.code == 0, done.err
        return (tmp_path / destination).read_text()

    return run


@pytest.fixture(scope="session")
def stream_module() -> str:
    """The `load_module` line for the stream module, which Debian packages apart."""
    done = subprocess.run([ROOT / "tools/get_server.sh", "nginx-stream"], capture_output=True, text=True, timeout=50)
    if done.returncode and not os.environ.get("CTEMPLATE_REQUIRE_SERVERS"):
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    return f"load_module {done.stdout.strip()};"


def test_nginx_takes_the_http_template(render, make_nginx):
    nginx = make_nginx()
    variables = f'{{ listen = "127.0.0.1:{nginx.port}", domain = "example" }}'
    text = render("nginx-http.conf.j2", "app.conf", variables)
    (nginx.conf_d / "app.conf").write_text(text)

    checked = nginx.test()

    assert checked.returncode == 0, checked.stderr + text
    assert text.count("server_name") == 2
    assert "server_name web.example;" in text
    assert "server [::1]:8002 weight=900;" in text
    assert "passwd" not in text
    assert "8005" not in text


def test_a_service_that_nobody_serves_answers_503_and_its_neighbour_goes_on(render, make_nginx, make_backend):
    backend, nginx = make_backend("neighbour"), make_nginx()
    services = (
        f"services: {{web: [{{address: 127.0.0.1, port: {backend.port}, tags: [http]}}],"
        " api: [{address: 127.0.0.1, port: 9, tags: [http], status: critical}]}"
    )
    text = render("nginx-http.conf.j2", "app.conf", f'{{ listen = "127.0.0.1:{nginx.port}" }}', services=services)
    (nginx.conf_d / "app.conf").write_text(text)
    nginx.start()

    assert nginx.get(host="api")[0] == 503
    assert nginx.get(host="web") == (200, "neighbour")


@pytest.mark.parametrize(
    ("variables", "upstreams"),
    [("{}", ["web", "api", "hidden"]), ('{ only = ["api", "none", "x; y"] }', ["api", "none"])],
)
def test_nginx_takes_the_upstreams_template(render, make_nginx, variables, upstreams):
    nginx = make_nginx()
    text = render("nginx-upstreams.conf.j2", "upstreams.conf", variables)
    (nginx.conf_d / "upstreams.conf").write_text(text)

    checked = nginx.test()

    assert checked.returncode == 0, checked.stderr + text
    assert sorted(re.findall(r"^upstream (\S+) \{$", text, re.MULTILINE)) == sorted(upstreams)
    assert "upstream api {\n    server 127.0.0.1:9 down;\n}" in text
    assert ("server [::1]:8002 weight=900;" in text) == ("web" in upstreams)


def test_nginx_takes_the_stream_template(render, make_nginx, stream_module, free_port, tmp_path):
    ports = free_port(), free_port()
    text = render("nginx-stream.conf.j2", "stream.conf", f"{{ ports = {{ web = {ports[0]}, api = {ports[1]} }} }}")
    nginx = make_nginx(main=f"{stream_module}\nstream {{ include {tmp_path}/stream.conf; }}")

    checked = nginx.test()

    assert checked.returncode == 0, checked.stderr + text
    assert "server [::1]:8002 weight=900;" in text
    assert "upstream api {\n    server 127.0.0.1:9 down;\n}" in text
    assert f"listen 127.0.0.1:{ports[1]};" in text


def test_haproxy_takes_its_template(render, haproxy_binary, free_port, tmp_path):
    text = render("haproxy.cfg.j2", "haproxy.cfg", f'{{ bind = "127.0.0.1:{free_port()}", domain = "example" }}')

    checked = subprocess.run(
        [haproxy_binary, "-c", "-f", tmp_path / "haproxy.cfg"], capture_output=True, text=True, timeout=30
    )

    assert checked.returncode == 0, checked.stderr + text
    assert "use_backend web if { hdr(host),field(1,:) -i web.example }" in text
    assert text.count("    server ") == 2
    assert "server ::1:8002 [::1]:8002 weight 256" in text
    assert "passwd" not in text
