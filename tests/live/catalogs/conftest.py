"""Real etcd and ZooKeeper servers, and a hub that follows any catalog.

Each server is ended by the process id that was started here, and keeps its ports over `kill()` and `start()`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from ctemplate.catalog.base import Catalog
from ctemplate.catalog.hub import Hub
from ctemplate.catalog.registry import open_catalog
from ctemplate.events import Event
from ctemplate.model import Answer, Failure, Query
from ctemplate.settings import CatalogSource, Consul

Eventually = Callable[..., Any]
FreePort = Callable[[], int]
DEADLINE = 30.0

# --- following a catalog --------------------------------------------------------------------------


class Followed:
    """A hub on one catalog, and what it told."""

    def __init__(self, hub: Hub, catalog: Catalog, events: list[Event]) -> None:
        self.hub = hub
        self.catalog = catalog
        self.events = events

    async def until(self, query: Query, holds: Callable[[Any], object]) -> Answer:
        """Wait until the answer to `query` is current and as it should be, and return it."""
        last: Answer | None = None
        try:
            async with asyncio.timeout(DEADLINE):
                while True:
                    snapshot = self.hub.snapshot
                    last = snapshot.answers.get(query)
                    if last is not None and query not in snapshot.failures and holds(last.value):
                        return last
                    await self.hub.next()
        except TimeoutError:
            pytest.fail(f"{query} never came to be as expected; last: {last}; {self.hub.snapshot.failures}")

    async def until_failed(self, query: Query) -> Failure:
        """Wait until `query` is not current, and return why."""
        async with asyncio.timeout(DEADLINE):
            while query not in self.hub.snapshot.failures:
                await self.hub.next()
        return self.hub.snapshot.failures[query]

    async def until_told(self, holds: Callable[[Event], bool]) -> Event:
        """Wait for an event and return it."""
        async with asyncio.timeout(DEADLINE):
            while not (found := [event for event in self.events if holds(event)]):  # noqa: ASYNC110  # no one notifies
                await asyncio.sleep(0.01)
        return found[0]

    def value(self, query: Query) -> Any:
        """What stands in the snapshot now, current or not."""
        return self.hub.snapshot.answers[query].value


@contextlib.asynccontextmanager
async def _following(url: str, *queries: Query, **options: Any) -> AsyncIterator[Followed]:
    events: list[Event] = []
    catalog = open_catalog(CatalogSource(url=url, options=options), Consul(), emit=events.append)
    hub = Hub({"default": catalog}, emit=events.append)
    running = asyncio.create_task(hub.run())
    hub.want(set(queries))
    try:
        yield Followed(hub, catalog, events)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert catalog.connections() == 0


@pytest.fixture
def following() -> Callable[..., contextlib.AbstractAsyncContextManager[Followed]]:
    """`async with following(url, *queries, **options) as f`: a hub that keeps the queries open until the end."""
    return _following


class Server:
    """A process that listens, which a test may stop in every way there is."""

    def __init__(self, command: list[str], directory: Path, *, environment: Mapping[str, str] | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.log = directory / "server.log"
        self._command = command
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def launch(self) -> None:
        """Start the process; it may not listen yet."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, cwd=self.directory, env=self._environment
            )

    def check(self) -> None:
        """Fail where the process has ended."""
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"the server ended with {self._process.returncode}:\n{self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        """SIGKILL, as a power failure would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it with SIGTERM, also one that is paused."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Stop it where it stands: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(how)
            self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None


# --- etcd -----------------------------------------------------------------------------------------


class Etcd(Server):
    """One member of an etcd cluster, often the only one."""

    def __init__(
        self, binary: str, directory: Path, *, name: str, ports: Mapping[str, tuple[int, int]], eventually: Eventually
    ) -> None:
        client, peer = ports[name]
        self.address = f"127.0.0.1:{client}"
        self.url = f"http://{self.address}"
        self.data = directory / "data"
        self.token = ""
        self._eventually = eventually
        peers = ",".join(f"{member}=http://127.0.0.1:{port}" for member, (_, port) in ports.items())
        own = f"http://127.0.0.1:{peer}"
        super().__init__(
            [
                binary, "--name", name, "--data-dir", str(self.data), "--listen-client-urls", self.url,
                "--advertise-client-urls", self.url, "--listen-peer-urls", own, "--initial-advertise-peer-urls", own,
                "--initial-cluster", peers, "--initial-cluster-token", peers, "--unsafe-no-fsync",
            ],
            directory,
        )  # fmt: skip

    def start(self) -> None:
        """Start the member and wait until its cluster answers."""
        self.launch()
        self._eventually(self.is_ready, DEADLINE)

    def is_ready(self) -> bool:
        self.check()
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/health", trust_env=False).json().get("health") == "true"
        return False

    def wipe(self) -> None:
        """Lose everything; the member is to be ended before."""
        shutil.rmtree(self.data)

    def ask(self, path: str, **body: Any) -> Any:
        """One request to the gateway."""
        headers = {"Authorization": self.token} if self.token else {}
        response = httpx.post(f"{self.url}/v3/{path}", json=body, headers=headers, trust_env=False, timeout=20)
        response.raise_for_status()
        return response.json()

    def put(self, key: str, value: str | bytes | dict[str, Any]) -> None:
        if isinstance(value, dict):
            value = json.dumps(value)
        data = value if isinstance(value, bytes) else value.encode()
        self.ask("kv/put", key=_base64(key.encode()), value=_base64(data))

    def delete(self, key: str, *, below: bool = False) -> None:
        data = key.encode()
        end = {"range_end": _base64(data[:-1] + bytes([data[-1] + 1]))} if below else {}
        self.ask("kv/deleterange", key=_base64(data), **end)

    def clear(self) -> None:
        self.ask("kv/deleterange", key=_base64(b"\0"), range_end=_base64(b"\0"))

    def revision(self) -> int:
        return int(self.ask("kv/range", key=_base64(b"\0"), range_end=_base64(b"\0"), limit=1)["header"]["revision"])

    def protect(self, *, user: str, password: str, prefix: str) -> None:
        """Turn authentication on, with a root and a user who may read below `prefix`."""
        for name, word in (("root", "root"), (user, password)):
            self.ask("auth/user/add", name=name, password=word)
            self.ask("auth/role/add", name=name)
            self.ask("auth/user/grant", user=name, role=name)
        self.grant(user, prefix)
        self.ask("auth/enable")
        self.token = self.ask("auth/authenticate", name="root", password="root")["token"]

    def grant(self, role: str, prefix: str) -> None:
        key = prefix.encode()
        end = _base64(key[:-1] + bytes([key[-1] + 1]))
        self.ask("auth/role/grant", name=role, perm={"permType": "READ", "key": _base64(key), "range_end": end})

    def revoke(self, role: str, prefix: str) -> None:
        key = prefix.encode()
        end = _base64(key[:-1] + bytes([key[-1] + 1]))
        self.ask("auth/role/revoke", role=role, key=_base64(key), range_end=end)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="session")
def _shared_etcd(
    require: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
    free_port: FreePort,
    eventually: Eventually,
) -> Iterator[Etcd]:
    directory = tmp_path_factory.mktemp("etcd")
    ports = {"one": (free_port(), free_port())}
    server = Etcd(require("etcd"), directory, name="one", ports=ports, eventually=eventually)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def etcd(_shared_etcd: Etcd) -> Iterator[Etcd]:
    """The server that all tests share, empty. A test that ends it, or turns authentication on, takes `make_etcd`."""
    yield _shared_etcd
    _shared_etcd.clear()


@pytest.fixture
def make_etcd(
    require: Callable[[str], str], tmp_path: Path, free_port: FreePort, eventually: Eventually
) -> Iterator[Callable[..., list[Etcd]]]:
    """`make_etcd(members=1)`: the started members of a cluster of the test's own; ended after it."""
    made: list[Etcd] = []

    def make(*, members: int = 1) -> list[Etcd]:
        ports = {f"m{n}": (free_port(), free_port()) for n in range(members)}
        cluster = [
            Etcd(require("etcd"), tmp_path / f"etcd-{len(made)}-{name}", name=name, ports=ports, eventually=eventually)
            for name in ports
        ]
        made.extend(cluster)
        for member in cluster:
            member.launch()
        for member in cluster:
            eventually(member.is_ready, DEADLINE)
        return cluster

    yield make
    for member in made:
        member.stop()
