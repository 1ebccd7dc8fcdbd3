"""A Consul agent of the suite's own, with ACLs, that keeps its data over a restart."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from contract import BAD, SERVICE
from contract.wire import Wire, Wired
from ctemplate.settings import CatalogSource, Consul

TOKEN = "8f9c4a34-62c3-4a4b-9e57-0d6b2c6f0001"
ACL = {"acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": TOKEN}}}


class ConsulServer(Wired):
    consul = Consul(token=TOKEN)

    def __init__(self, agent: Any, wire: Wire, *, port: int) -> None:
        self._agent = agent
        self.wire = wire
        self._port = port

    def source(self) -> CatalogSource:
        return CatalogSource(url=f"consul://127.0.0.1:{self._port}")

    def put(self, id: str, port: int) -> None:
        self._agent.register(SERVICE, id=id, port=port)

    def put_bad(self, id: str) -> None:
        self._agent.register(SERVICE, id=id, port=80, address=BAD)

    def remove(self, id: str) -> None:
        self._agent.deregister(id)

    def kill(self) -> None:
        self._agent.kill()

    def start(self) -> None:
        self._agent.start()

    def restart_empty(self) -> None:
        self._agent.kill()
        shutil.rmtree(self._agent.directory / "data")
        self._agent.start()

    def freeze(self) -> None:
        self._agent.pause()

    def thaw(self) -> None:
        self._agent.resume()

    def stranger(self) -> tuple[CatalogSource, Consul]:
        return self.source(), Consul(token=BAD)

    def clear(self) -> None:
        self.mend()
        self._agent.resume()
        self._agent.clear()


@contextlib.contextmanager
def open_server(request: pytest.FixtureRequest) -> Iterator[ConsulServer]:
    fixture = request.getfixturevalue
    directory = fixture("tmp_path_factory").mktemp("consul")
    agent = fixture("new_consul")(directory, data_dir=True, config=ACL, token=TOKEN)
    port = fixture("free_port")()
    try:
        agent.start()
        with contextlib.closing(Wire(("127.0.0.1", agent.port), listen=("127.0.0.1", port))) as wire:
            yield ConsulServer(agent, wire, port=port)
    finally:
        agent.stop()
