"""Eureka by its fault model; `make test-eureka` tries a real one (test_eureka_server.py)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from contract import BAD, SERVICE
from contract.eureka_model import EurekaModel
from contract.wire import Wire, Wired
from ctemplate.settings import CatalogSource, Consul

QUICK = {"interval": "100ms", "lease": "300ms", "user": "reader", "password": "right"}


class EurekaServer(Wired):
    consul = Consul()

    def __init__(self, model: EurekaModel, wire: Wire, *, port: int) -> None:
        self.wire = wire
        self._model = model
        self._port = port
        self._model.login = "reader:right"

    def source(self) -> CatalogSource:
        return CatalogSource(url=f"eureka://127.0.0.1:{self._port}/eureka", options=QUICK)

    def put(self, id: str, port: int) -> None:
        self._model.put(SERVICE, id, port)

    def put_bad(self, id: str) -> None:
        self._model.put(SERVICE, id, 80, ipAddr=BAD)

    def remove(self, id: str) -> None:
        self._model.remove(id)

    def kill(self) -> None:
        self._model.kill()

    def start(self) -> None:
        self._model.start()

    def restart_empty(self) -> None:
        self._model.kill()
        self._model.instances.clear()
        self._model.start()

    def freeze(self) -> None:
        self._model.freeze()

    def thaw(self) -> None:
        self._model.thaw()

    def stranger(self) -> tuple[CatalogSource, Consul]:
        return CatalogSource(url=self.source().url, options={**QUICK, "password": BAD}), Consul()

    def clear(self) -> None:
        self.mend()
        self.thaw()
        self._model.instances.clear()


@contextlib.contextmanager
def open_server(request: pytest.FixtureRequest) -> Iterator[EurekaServer]:
    port = request.getfixturevalue("free_port")()
    model = EurekaModel()
    with (
        contextlib.closing(Wire(("127.0.0.1", model.port), listen=("127.0.0.1", port))) as wire,
        contextlib.ExitStack() as ended,
    ):
        ended.callback(model.stop)
        yield EurekaServer(model, wire, port=port)
