"""A real Eureka server (tools/get_eureka.sh), and clients that beat as Spring's do; `make test-eureka` runs it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contract import BAD, SERVICE
from contract.eureka_model import instance
from contract.wire import Wire, Wired
from ctemplate.settings import CatalogSource, Consul
from standstill import pause

START_SECONDS = 200.0
BEAT_SECONDS = 1.0

QUICK = {
    "eureka.server.response-cache-update-interval-ms": 500,
    "eureka.server.eviction-interval-timer-in-ms": 500,
    "eureka.server.enable-self-preservation": "false",
}
"""Seconds where the defaults are minutes; what it does stays the same."""


class Eureka:
    """One server process at one port. `put` makes a client that registers and beats until it is removed or dies."""

    def __init__(
        self, jar: str, directory: Path, *, port: int, eventually: Callable[..., Any], **settings: Any
    ) -> None:
        self.port = port
        self.log = directory / "eureka.log"
        self._eventually = eventually
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: dict[tuple[str, str], dict[str, Any]] = {}
        self._beating = threading.Event()
        self._lock = threading.Lock()
        chosen = {
            "server.port": port,
            "server.address": "127.0.0.1",
            "eureka.instance.hostname": "localhost",
            "eureka.client.register-with-eureka": "false",
            "eureka.client.fetch-registry": "false",
            **settings,
        }
        # Starts in half the time.
        flags = ["-XX:TieredStopAtLevel=1", "-Xmx256m"]
        self._command = ["java", *flags, "-jar", jar, *(f"--{name}={value}" for name, value in chosen.items())]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        self._eventually(self._answers, START_SECONDS)
        if not self._beating.is_set():
            self._beating.set()
            threading.Thread(target=self._beat, daemon=True).start()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None or pytest.fail(self.log.read_text()[-2000:])
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self._ask("GET", "/apps") == 200
        return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def stop(self) -> None:
        self._beating.clear()
        with contextlib.suppress(ProcessLookupError):
            self.thaw()
        self.kill()

    def freeze(self) -> None:
        pause(self.pid)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def put(self, app: str, id: str, port: int, /, **fields: Any) -> None:
        lease = {"leaseInfo": {"renewalIntervalInSecs": 1, "durationInSecs": 3}}
        client = instance(app, id, port, **{**lease, **fields})
        with self._lock:
            self._clients[app, id] = client
        self._register(app, client)

    def remove(self, app: str, id: str) -> None:
        self.die(app, id)
        self._ask("DELETE", f"/apps/{app}/{id}")

    def die(self, app: str, id: str) -> None:
        """Let a client beat no more, without a farewell."""
        with self._lock:
            del self._clients[app, id]

    def set_status(self, app: str, id: str, status: str) -> None:
        self._ask("PUT", f"/apps/{app}/{id}/status?value={status}")

    def clients(self) -> list[tuple[str, str]]:
        with self._lock:
            return list(self._clients)

    def _register(self, app: str, client: dict[str, Any]) -> None:
        assert self._ask("POST", f"/apps/{app}", {"instance": client}) == 204

    def _ask(self, method: str, path: str, body: Any = None) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, f"/eureka{path}", json.dumps(body), {"Content-Type": "application/json"})
            return connection.getresponse().status

    def _beat(self) -> None:
        """Renew each lease, and register again where the server knows of none: what every client does."""
        while self._beating.is_set():
            for app, id in self.clients():
                with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):
                    client = self._clients.get((app, id))
                    if self._ask("PUT", f"/apps/{app}/{id}") == 404 and client is not None:
                        self._register(app, client)
            threading.Event().wait(BEAT_SECONDS)


class EurekaServer(Wired):
    consul = Consul()

    def __init__(self, server: Eureka, wire: Wire, *, port: int) -> None:
        self.wire = wire
        self._server = server
        self._port = port

    def source(self) -> CatalogSource:
        options = {"interval": "200ms", "lease": "2s"}
        return CatalogSource(url=f"eureka://127.0.0.1:{self._port}/eureka", options=options)

    def put(self, id: str, port: int) -> None:
        self._server.put(SERVICE, id, port)

    def put_bad(self, id: str) -> None:
        self._server.put(SERVICE, id, 80, ipAddr=BAD)

    def remove(self, id: str) -> None:
        self._server.remove(SERVICE, id)

    def kill(self) -> None:
        self._server.kill()

    def start(self) -> None:
        self._server.start()

    def restart_empty(self) -> None:
        self._server.kill()
        self._die()
        self._server.start()

    def freeze(self) -> None:
        self._server.freeze()

    def thaw(self) -> None:
        self._server.thaw()

    def stranger(self) -> tuple[CatalogSource, Consul]:
        return pytest.skip("Eureka itself knows no users; its fault model does")

    def clear(self) -> None:
        self.mend()
        self.thaw()
        for app, id in self._server.clients():
            self._server.remove(app, id)

    def _die(self) -> None:
        for app, id in self._server.clients():
            self._server.die(app, id)


def jar_or_skip() -> str:
    """The server's jar as `make test-eureka` names it; without it the test is skipped."""
    jar = os.environ.get("CTEMPLATE_EUREKA_JAR", "")
    if not jar:
        pytest.skip("a real Eureka server is tried by `make test-eureka`")
    return jar


@contextlib.contextmanager
def open_server(request: pytest.FixtureRequest) -> Iterator[EurekaServer]:
    jar, fixture = jar_or_skip(), request.getfixturevalue
    at_once = {**QUICK, "eureka.server.use-read-only-response-cache": "false"}
    server = Eureka(
        jar, fixture("tmp_path_factory").mktemp("eureka"), port=fixture("free_port")(),
        eventually=fixture("eventually"), **at_once,
    )  # fmt: skip
    port = fixture("free_port")()
    try:
        server.start()
        with contextlib.closing(Wire(("127.0.0.1", server.port), listen=("127.0.0.1", port))) as wire:
            yield EurekaServer(server, wire, port=port)
    finally:
        server.stop()
