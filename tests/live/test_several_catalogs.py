"""Several catalogs at once, from the outside: a migration under load, and one that is away."""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import contextmanager

import pytest

SITE = """\
upstream web {
{% for i in service("web", catalog=["dc1", "legacy"]) %}
    server {{ i.endpoint }} max_fails=0;
{% endfor %}
}
server { listen %PORT%; location / { proxy_pass http://web; proxy_next_upstream off; } }
"""


@contextmanager
def load(nginx, *, watch, threads: int = 2):
    """Ask without a pause, a connection a request; collect what failed, what `watch` misses, and how many were sent."""
    failed: list[str] = []
    sent = [0]
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            sent[0] += 1
            try:
                status, _ = nginx.get()
            except (OSError, http.client.HTTPException) as error:
                failed.append(repr(error))
            else:
                if status != 200:
                    failed.append(str(status))
            if missing := watch():
                failed.append(f"the file lacks {missing}")

    running = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield failed, sent
    finally:
        stop.set()
        for thread in running:
            thread.join()


def write_services(path, backends) -> None:
    """Replace a services file as a careful tool does."""
    entries = [{"id": backend.name, "address": "127.0.0.1", "port": backend.port} for backend in backends]
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"services": {"web": entries}}))
    part.rename(path)


def test_instances_move_from_one_catalog_to_the_other_and_no_request_fails(
    consul, make_nginx, make_backend, ctemplate, tmp_path, eventually
):
    backends = [make_backend(f"b{n}") for n in range(2)]
    nginx, legacy = make_nginx(), tmp_path / "services.json"
    write_services(legacy, backends)
    (tmp_path / "site.j2").write_text(SITE.replace("%PORT%", str(nginx.port)))
    conf = nginx.conf_d / "site.conf"
    (tmp_path / "ctemplate.toml").write_text(
        f'[catalog.dc1]\nurl = "consul://{consul.address}"\n[catalog.legacy]\nurl = "file:services.json"\n'
        f'[[template]]\nsource = "site.j2"\ndestination = "{conf}"\ncommand = "{nginx.reload_command}"\n'
        'reload_group = "lb"\n[reload_group.lb]\ncooldown = "0.1s"\n'
    )
    nginx.start()
    running = ctemplate("-config", tmp_path / "ctemplate.toml")
    running.wait_for("proof: new workers")

    def endpoints() -> list[str]:
        return sorted(line.split()[1] for line in conf.read_text().splitlines() if "max_fails" in line)

    everybody = sorted(backend.address for backend in backends)
    assert endpoints() == everybody
    with load(nginx, watch=lambda: set(everybody).difference(endpoints())) as (failed, sent):
        for number, backend in enumerate(backends, start=1):
            mark = running.mark()
            consul.register("web", id=backend.name, address="127.0.0.1", port=backend.port)
            running.wait_for("dc1:web +1", since=mark)
            # Who has left legacy is in dc1; a newcomer in legacy shows when that was read.
            late = make_backend(f"late{number}")
            write_services(legacy, [*backends[number:], late])
            eventually(lambda late=late: endpoints() == sorted([*everybody, late.address]))
            write_services(legacy, backends[number:])
            eventually(lambda: endpoints() == everybody)
    assert failed == []
    assert sent[0] > 100
    assert nginx.get()[0] == 200


@pytest.fixture
def two_templates(tmp_path, free_port):
    """A configuration of a Consul where nobody listens and a file, a template for each; the template of both waits."""
    (tmp_path / "services.yaml").write_text("services: {web: [{address: 127.0.0.1, port: 8001}]}\n")
    here = '{% for i in service("web", catalog="legacy") %}{{ i.endpoint }}{% endfor %}'
    both = '{% for i in service("web", catalog=["dc1", "legacy"]) %}{{ i.endpoint }}{% endfor %}'
    (tmp_path / "ctemplate.toml").write_text(
        f'[catalog.dc1]\nurl = "consul://127.0.0.1:{free_port()}"\n[catalog.legacy]\nurl = "file:services.yaml"\n'
        f"[[template]]\ncontents = '{here}'\ndestination = 'here'\n"
        f"[[template]]\ncontents = '{both}'\ndestination = 'both'\n"
    )
    return tmp_path


def test_a_catalog_that_is_away_at_start_keeps_nobody_else_waiting(two_templates, ctemplate):
    running = ctemplate("-config", two_templates / "ctemplate.toml")
    running.wait_for(f"committed {two_templates / 'here'}", timeout=5)  # before a group's first 10 s are over
    running.wait_for("catalog dc1")
    assert (two_templates / "here").read_text() == "127.0.0.1:8001"
    assert not (two_templates / "both").exists()


def test_once_commits_what_the_catalog_that_is_there_gives(two_templates, ctemplate):
    done = ctemplate.run("-once", "-timeout", "2s", "-config", two_templates / "ctemplate.toml")
    assert done.code == 3
    assert (two_templates / "here").read_text() == "127.0.0.1:8001"
    assert "dc1:service(web): " in done.err


def test_a_catalog_that_refuses_ends_once_only_after_the_others_had_their_turn(two_templates, ctemplate, tmp_path):
    config = tmp_path / "ctemplate.toml"
    config.write_text(config.read_text().replace('["dc1", "legacy"]', '"legacy", filter="x"'))
    done = ctemplate.run("-once", "-timeout", "25s", "-config", config)
    assert done.code == 3
    assert "cannot answer `filter`" in done.err
    assert (tmp_path / "here").read_text() == "127.0.0.1:8001"


@pytest.mark.parametrize("how", ["-once", "-dry"])
def test_a_catalog_that_is_not_configured_is_an_error_at_once_with_a_suggestion(ctemplate, tmp_path, how):
    (tmp_path / "t.j2").write_text('{% for i in service("web", catalog="legasy") %}{{ i.endpoint }}{% endfor %}')
    arguments = ["-catalog", "dc1=file:a.yaml", "-catalog", "legacy=file:b.yaml", "-template", "t.j2:out"]
    done = ctemplate.run(how, "-timeout", "25s", *arguments)
    assert done.code == 1
    assert "did you mean 'legacy'?" in done.err
    assert not (tmp_path / "out").exists()
