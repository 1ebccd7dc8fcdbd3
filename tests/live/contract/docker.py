"""A Docker engine behind a wire: an instance is a container that publishes a port."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract import BAD, SERVICE
from contract.wire import Wire, Wired
from ctemplate.settings import CatalogSource, Consul
from dockerd import Docker

IP_LABEL = "ip"


class DockerServer(Wired):
    consul = Consul()
    several = 2  # one container's record is longer than what a cut wire lets through

    def __init__(self, engine: Docker, wire: Wire, *, path: Path) -> None:
        self._engine = engine
        self.wire = wire
        self._path = path
        self._there: set[str] = set()

    def source(self) -> CatalogSource:
        return CatalogSource(url=f"docker://{self._path}", options={"use_ip_from_label": IP_LABEL})

    def put(self, id: str, port: int, *, address: str = "127.0.0.1") -> None:
        if id in self._there:
            self.remove(id)
        self._there.add(id)
        env, labels = {"SERVICE_NAME": SERVICE}, {IP_LABEL: address}
        self._engine.run(id, env=env, labels=labels, published={"80/tcp": port}, restart=True)

    def put_bad(self, id: str) -> None:
        self.put(id, 7900, address=BAD)

    def remove(self, id: str) -> None:
        self._there.discard(id)
        self._engine.remove(id)

    def kill(self) -> None:
        self._engine.kill()

    def start(self) -> None:
        self._engine.start()

    def restart_empty(self) -> None:
        self._engine.clear()
        self._there.clear()
        self._engine.stop()
        self._engine.start()

    def freeze(self) -> None:
        self._engine.pause()

    def thaw(self) -> None:
        self._engine.resume()

    def stranger(self) -> tuple[CatalogSource, Consul]:
        pytest.skip("these tests run as root, whom no socket refuses")

    def clear(self) -> None:
        self.mend()
        self._there.clear()
        self._engine.clear()


@contextlib.contextmanager
def open_server(request: pytest.FixtureRequest) -> Iterator[DockerServer]:
    engine = request.getfixturevalue("_docker_engine")
    path = engine.directory / "wire.sock"
    with contextlib.closing(Wire(engine.socket, listen=path)) as wire:
        yield DockerServer(engine, wire, path=path)
