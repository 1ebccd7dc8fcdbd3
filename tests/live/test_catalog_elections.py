"""Elections, restarts and ACLs of real Consul servers: what was known stays, and nothing shrinks meanwhile."""

from __future__ import annotations

import contextlib
import signal
import threading
from pathlib import Path

import httpx
import pytest

EACH = '{% for i in service("web") %}server {{ i.endpoint }};\n{% endfor %}'
COUNT = 30


class Watcher:
    """Looks at a file all the time, and remembers the fewest lines that it ever had."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fewest = self._lines()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _lines(self) -> int:
        return len(self.path.read_text().splitlines())

    def _run(self) -> None:
        while not self._stop.wait(0.002):
            self.fewest = min(self.fewest, self._lines())

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def register(server, *numbers: int) -> None:
    for number in numbers:
        server.register("web", id=f"web-{number}", port=1000 + number, address="127.0.0.1")


def register_when_possible(server, number: int, eventually) -> None:
    """Register once there is a leader again."""

    def done() -> bool:
        try:
            register(server, number)
        except httpx.HTTPStatusError:
            return False
        return True

    eventually(done, 30)


def leader_of(servers):
    """Who leads, as the first server that answers says."""
    for server in servers:
        with contextlib.suppress(httpx.HTTPError):
            address = server.get("/v1/status/leader")
            return next((server for server in servers if server.raft_address == address), None)
    return None


@pytest.fixture
def following(consul_servers, ctemplate, tmp_path: Path, eventually):
    """ctemplate on a follower of a real cluster, with `COUNT` instances in its file."""
    follower = next(server for server in consul_servers if server is not leader_of(consul_servers))
    register(follower, *range(COUNT))
    template, out = tmp_path / "t.j2", tmp_path / "out.conf"
    template.write_text(EACH)
    running = ctemplate("-consul-addr", follower.address, "-template", f"{template}:{out}")
    running.wait_for("committed")
    eventually(lambda: len(out.read_text().splitlines()) == COUNT)
    return running, follower, out


def test_nothing_shrinks_while_the_leader_flaps(consul_servers, following, eventually):
    running, follower, out = following
    with Watcher(out) as watcher:
        for number in (COUNT, COUNT + 1):
            leader = eventually(lambda: leader_of(consul_servers), 30)
            if leader is follower:
                break  # ctemplate's own server leads now: the next test is about its end
            leader.kill()
            register_when_possible(follower, number, eventually)
            eventually(lambda lines=number + 1: len(out.read_text().splitlines()) == lines, 30)
            leader.start()
    assert watcher.fewest == COUNT
    assert "is held" not in running.text


def test_a_server_that_restarts_with_a_long_log_is_not_believed_while_it_applies_it(following, eventually):
    """It answers with nothing, 200, a known leader and fresh contact; see `starting_server` in `fault_proxy`."""
    running, follower, out = following
    for change in range(8):
        for number in range(COUNT):
            follower.register("web", id=f"web-{number}", port=1000 + number, address="127.0.0.1", weight=change + 1)
    with Watcher(out) as watcher:
        follower.kill()
        running.wait_for("away")
        follower.launch()
        running.wait_for("is back", timeout=30)
        follower.wait_until_ready()
        register(follower, COUNT)
        eventually(lambda: len(out.read_text().splitlines()) == COUNT + 1, 30)
    assert watcher.fewest == COUNT
    assert "is held" not in running.text


def test_a_token_that_is_revoked_keeps_the_file_and_the_one_in_its_file_is_taken(
    make_consul, ctemplate, tmp_path: Path, eventually
):
    management = "11111111-2222-3333-4444-555555555555"
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"master": management, "agent": management}}
    agent = make_consul(config={"acl": acl, "primary_datacenter": "dc1"}, token=management)
    register(agent, 1, 2, 3)
    rules = 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }'
    agent.put("/v1/acl/policy", {"Name": "reader", "Rules": rules})
    old, new = [agent.put("/v1/acl/token", {"Policies": [{"Name": "reader"}]}) for _ in range(2)]
    file, template, out = tmp_path / "token", tmp_path / "t.j2", tmp_path / "out.conf"
    file.write_text(old["SecretID"])
    template.write_text(EACH)
    pair = f"{template}:{out}"
    running = ctemplate("-consul-addr", agent.address, "-consul-token-file", file, "-template", pair)
    running.wait_for("committed")
    before = out.read_bytes()
    agent.request("DELETE", f"/v1/acl/token/{old['AccessorID']}")
    register(agent, 4)
    line = running.wait_for("403")
    assert 'service "web" { policy = "read" }' in line
    assert out.read_bytes() == before
    eventually(lambda: ctemplate.run("status").code == 1)  # only a person can mend that
    file.write_text(new["SecretID"])
    running.send(signal.SIGHUP)  # else within 30 s
    eventually(lambda: len(out.read_text().splitlines()) == 4, 20)
    eventually(lambda: ctemplate.run("status").code == 0)
    assert old["SecretID"] not in running.text
