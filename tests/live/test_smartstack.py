"""SmartStack's files both ways: our template writes them, our catalog reads them, and a broken one empties nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

TEMPLATE = Path(__file__).parents[2] / "templates/smartstack.json.j2"

SERVICES = """
services:
  web:
    - {id: web-1, node: rack-a, address: 10.0.0.1, port: 8001, weight: 3, meta: {az: 'a "quoted" \\u20ac', note: ""}}
    - {id: web-2, node: rack-b, address: "2001:db8::2", port: 8002, meta: {haproxy_server_options: backup, az: b}}
    - {id: web-3, node: rack-b, address: 10.0.0.3, port: 8003, status: critical}
  api: []
"""
SHOW = """\
{% for name in ["web", "api"] %}
{% for i in service(name) %}
{{ [i.id, i.name, i.address, i.port, i.node, i.weight, i.status, i.meta | dictsort] | to_json }}
{% endfor %}
{% endfor %}
"""


@pytest.fixture
def written(tmp_path, ctemplate):
    """A directory that the template wrote from a file catalog, and what a template shows of that catalog."""
    (tmp_path / "services.yaml").write_text(SERVICES)
    (tmp_path / "show.j2").write_text(SHOW)
    one = f"[[template]]\nsource = '{TEMPLATE}'\ndestination = 'stack/%s.json'\nvars = {{ name = '%s' }}\n"
    (tmp_path / "write.toml").write_text(
        'catalog = "file:services.yaml"\n[[template]]\nsource = "show.j2"\ndestination = "before"\nformat = "text"\n'
        + one % ("web", "web")
        + one % ("api", "api")
    )
    (tmp_path / "stack").mkdir()
    done = ctemplate.run("-once", "-config", "write.toml")
    assert done.code == 0, done.err
    return tmp_path


def test_what_the_template_writes_our_catalog_reads_back(written, ctemplate):
    [first, second] = json.loads((written / "stack/web.json").read_text())
    keys = {"name", "host", "port", "id", "weight", "haproxy_server_options", "labels"}
    assert first.keys() == second.keys() == keys
    assert (first["haproxy_server_options"], second["haproxy_server_options"]) == (None, "backup")
    assert second["labels"] == {"az": "b"}
    assert json.loads((written / "stack/api.json").read_text()) == []
    done = ctemplate.run("-once", "-catalog", "smartstack:stack", "-template", "show.j2:after")
    assert done.code == 0, done.err
    before = (written / "before").read_text()
    assert before.count("\n") == 2
    assert (written / "after").read_text() == before


def test_a_broken_file_keeps_the_last_answer_and_says_so(written, ctemplate, eventually):
    (written / "read.toml").write_text("[guard]\nmin_instances = 0\nmax_removed = 1.0\n")  # all of web will go
    running = ctemplate("-catalog", "smartstack:stack", "-template", "show.j2:after", "-config", "read.toml")
    running.wait_for("committed")
    before = (written / "after").read_text()
    web = written / "stack/web.json"
    whole = web.read_text()
    web.write_text(whole[: len(whole) // 2])
    running.wait_for("service(web) has no current answer")
    assert "web.json: is not a JSON list" in running.text
    (written / "stack/api.json").write_text('[{"host": "10.0.0.9", "port": 9}]')
    eventually(lambda: "10.0.0.9" in (written / "after").read_text())
    assert (written / "after").read_text().startswith(before)
    web.write_text("[]")
    running.wait_for("service(web) is answered again")
    eventually(lambda: "web-1" not in (written / "after").read_text())
