"""Runs of every ending with planted secrets, and then a search of everything that they left."""

from __future__ import annotations

import base64
import json
import os
import signal
import stat
import uuid
from pathlib import Path
from typing import Any

import pytest

from ctemplate.settings import CatalogSource, Consul, Settings

VALUE, OLD, OPEN_VALUE = "s3cr3tV4lu3", "s3cr3tBef0re", "0penV4lu3"

FAILING = {
    "refused": "x {{ key('app/secret') }};",
    "quoted": "x {{ key('app/secret') | quote }};",
    "number": "{{ key('app/secret') + 1 }}",
    "index": "{{ {}[key('app/secret')] }}",
    "attribute": "{{ key('app/secret').nothing }}",
    "json": "{{ key('app/secret') | from_json }}",
    "yaml": "{{ ('{' ~ key('app/secret') | replace('$', '')) | from_yaml }}",
    "base64": "{{ key('app/secret') | b64decode }}",
    "percent": "{{ '%d' % key('app/secret') }}",
    "pattern": "{{ 'a' | regex_search('(' ~ key('app/secret')) }}",
    "format": "{{ key('app/secret').format() ~ '{x}'.format_map({key('app/secret'): 1}) }}",
    "include": "{{ [][key('app/secret')] }}",
}


def template(name: str, contents: str, **settings: Any) -> str:
    settings = {"contents": contents, "destination": f"out/{name}", "format": "nginx", "sensitive": True} | settings
    return "[[template]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())


class Place:
    """A Consul that wants a token and holds secrets, a configuration of many endings, and what the runs said."""

    def __init__(self, tmp_path: Path, make_consul: Any, ctemplate: Any) -> None:
        self.root, self.ctemplate = tmp_path, ctemplate
        self.token, self.wrong = str(uuid.uuid4()), str(uuid.uuid4())
        acl = {"enabled": True, "default_policy": "deny", "tokens": {"master": self.token}}
        agent = make_consul(config={"acl": acl, "primary_datacenter": "dc1"}, token=self.token)
        agent.kv_put("app/secret", f"{VALUE} {{;$\n")
        agent.kv_put("app/open", OPEN_VALUE)
        self.said: list[str] = []
        self.out = tmp_path / "out"
        self.out.mkdir()
        (tmp_path / "tmp").mkdir()
        (tmp_path / "token").write_text(self.token)
        self.env = {"CONSUL_HTTP_ADDR": agent.address, "TMPDIR": str(tmp_path / "tmp")}

    def configure(self, *tables: str) -> Path:
        for name in ("ok", "rolled"):
            (self.out / name).write_text(f"{OLD}\n")
        config = self.root / "ctemplate.toml"
        config.write_text("\n".join(tables))
        return config

    def run(self, *arguments: object, env: dict[str, str] | None = None, code: int) -> str:
        done = self.ctemplate.run(*map(str, arguments), env=self.env | (env or {}), timeout=60)
        self.said.append(done.out + done.err)
        assert done.code == code, self.said[-1]
        return self.said[-1]

    def found(self, secret: str) -> list[str]:
        """Where a secret stands, in any spelling, apart from the destinations and where the test itself put it."""
        raw = secret.encode()
        spellings = {raw, base64.b64encode(raw), raw.hex().encode(), raw[::-1], raw.upper(), raw[: len(raw) * 2 // 3]}
        places = {f"output {number}": text.encode() for number, text in enumerate(self.said)}
        ours = (self.out, self.root / "consul-0", self.root / "token")
        for path in [*self.root.rglob("*"), *Path("/run/lock").rglob("*ctemplate*/*")]:
            if path.is_file() and not any(path.is_relative_to(own) for own in ours):
                places[str(path)] = path.read_bytes() + path.name.encode()
        return [place for place, data in places.items() if any(spelling in data for spelling in spellings)]


@pytest.fixture
def place(tmp_path, make_consul, ctemplate) -> Place:
    return Place(tmp_path, make_consul, ctemplate)


def endings(out: Path) -> list[str]:
    """Templates that end in every way. Each is a group of its own, and what is run shouts the file's text."""
    secret = "{{ key('app/secret') | safe }}"
    shout = f"cat {out}"
    return [
        template("ok", secret, command=["/bin/cat", f"{out}/ok"]),
        template("new", secret, command=f"{shout}/new >&2"),
        template("rejected", secret, check=f"{shout}/rejected; exit 1"),
        template("rolled", secret, command=f"{shout}/rolled; grep -q Bef0re {out}/rolled"),
        template("pending", secret, command=f"{shout}/pending; exit 1", on_failure="keep"),
        *(template(name, text) for name, text in FAILING.items()),
    ]


def test_nothing_that_a_run_leaves_holds_a_token_or_a_value_of_a_sensitive_template(place):
    config = place.configure(*endings(place.out))

    as_text = place.run(
        "-once", "-config", config, "-log-level", "debug", env={"CONSUL_HTTP_TOKEN": place.token}, code=4
    )
    assert stat.S_IMODE((place.out / "new").stat().st_mode) == 0o600
    assert (place.out / "rolled").read_text() == f"{OLD}\n"
    assert not (place.out / "rejected").exists()
    for name in ("ok", "new", "rejected", "rolled", "pending", *FAILING):
        assert f"{place.out}/{name}" in as_text
    assert as_text.count("cannot render") == len(FAILING)

    place.configure(*endings(place.out))
    in_file = ("-consul-token-file", place.root / "token")
    place.run("-once", "-config", config, "-log-level", "debug", "-log-format", "json", *in_file, code=4)
    place.configure(*endings(place.out))
    assert "-consul-token is visible to every user" in place.run(
        "-dry", "-config", config, "-log-level", "debug", "-consul-token", place.token, code=1
    )
    assert "403" in place.run("-once", "-config", config, env={"CONSUL_HTTP_TOKEN": place.wrong}, code=3)
    place.run("status", "-json", "-state-dir", place.root / "state", code=1)
    place.run("status", "-state-dir", place.root / "state", code=1)

    for secret in (VALUE, OLD, place.token, place.wrong):
        assert place.found(secret) == []


def test_nothing_that_a_daemon_holds_or_shows_while_it_runs_is_a_secret(place, eventually):
    started = place.root / "started"
    hangs = template(
        "hangs",
        "{{ key('app/secret') | safe }}",
        command=f"test -e {started} || {{ echo $$ > {started}; exec sleep 60; }}",
    )
    config = place.configure(*endings(place.out), hangs)
    (place.out / "hangs").write_text(OLD)
    environment = place.env | {"CONSUL_HTTP_TOKEN_FILE": str(place.root / "token")}

    running = place.ctemplate("-config", config, "-log-level", "debug", env=environment)
    eventually(started.exists, 30)
    running.wait_for("rolled back", timeout=30)
    eventually(lambda: "rolled back" in (place.root / "state/status.json").read_text(), 30)
    place.run("status", "-json", "-state-dir", place.root / "state", code=1)
    place.said.append(Path(f"/proc/{running.pid}/cmdline").read_text())
    assert any((place.root / "state").rglob("journal/*"))
    assert stat.S_IMODE((place.root / "state").stat().st_mode) == 0o700
    for secret in (VALUE, OLD, place.token):
        assert place.found(secret) == []

    running.kill()
    os.kill(int(started.read_text()), signal.SIGKILL)
    again = place.ctemplate("-config", config, "-log-level", "debug", env=environment)
    again.wait_for("was not finished", timeout=30)
    again.stop()
    place.said += [running.text, again.text]
    for secret in (VALUE, OLD, place.token):
        assert place.found(secret) == []


def test_a_value_of_any_other_template_stands_in_the_difference_and_the_refused_copy_only(place):
    text = "x {{ key('app/open') }};\n"
    failing = template("broken", "{{ key('app/open') + 1 }}", sensitive=False)
    refused = template("refused", text, sensitive=False, check="exit 1")
    config = place.configure(template("plain", text, sensitive=False), refused, failing)

    place.run("-once", "-config", config, env={"CONSUL_HTTP_TOKEN": place.token}, code=4)

    (copy,) = (place.root / "state/rejected").iterdir()
    assert sorted(place.found(OPEN_VALUE)) == sorted([str(copy), "output 0"])
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    lines = [line.strip() for line in place.said[0].splitlines() if OPEN_VALUE in line]
    assert lines == [f"+x {OPEN_VALUE};"]


def test_settings_that_are_shown_by_accident_show_no_token():
    source = CatalogSource(url="consul://a:8500", options={"token": VALUE})
    shown = repr(Settings(consul=Consul(token=VALUE, auth=f"me:{VALUE}"), catalogs=(source,)))
    assert VALUE not in shown
