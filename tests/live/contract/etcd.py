"""An etcd of the suite's own, behind a wire. Whoever is a stranger turns authentication on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from contract import BAD, SERVICE
from contract.wire import Wire, Wired
from ctemplate.settings import CatalogSource, Consul
from servers.etcd import Etcd


class EtcdServer(Wired):
    consul = Consul()

    def __init__(self, etcd: Etcd, wire: Wire, *, port: int) -> None:
        self._etcd = etcd
        self.wire = wire
        self._address = f"127.0.0.1:{port}"

    def source(self) -> CatalogSource:
        return CatalogSource(url=f"etcd://{self._address}", options={"prefix": "/services"})

    def put(self, id: str, port: int) -> None:
        self._etcd.put(f"/services/{SERVICE}/{id}", f"127.0.0.1:{port}")

    def put_bad(self, id: str) -> None:
        self._etcd.put(f"/services/{SERVICE}/{id}", f"{BAD}:80")

    def remove(self, id: str) -> None:
        self._etcd.delete(f"/services/{SERVICE}/{id}")

    def kill(self) -> None:
        self._etcd.kill()

    def start(self) -> None:
        self._etcd.start()

    def restart_empty(self) -> None:
        self._etcd.kill()
        self._etcd.wipe()
        self._etcd.start()

    def freeze(self) -> None:
        self._etcd.pause()

    def thaw(self) -> None:
        self._etcd.resume()

    def stranger(self) -> tuple[CatalogSource, Consul]:
        self._etcd.protect(user="lb", password="s3cret", prefix="/services/")
        url = f"etcd://lb:{BAD.replace(':', '%3A')}@{self._address}/services"
        return CatalogSource(url=url), Consul()

    def clear(self) -> None:
        self.mend()
        self._etcd.resume()
        if self._etcd.token:
            self._etcd.ask("auth/disable")
            self._etcd.token = ""
        self._etcd.clear()


@contextlib.contextmanager
def open_server(request: pytest.FixtureRequest) -> Iterator[EtcdServer]:
    fixture = request.getfixturevalue
    free_port = fixture("free_port")
    directory, port = fixture("tmp_path_factory").mktemp("etcd"), free_port()
    ports = {"one": (free_port(), free_port())}
    etcd = Etcd(fixture("require")("etcd"), directory, name="one", ports=ports, eventually=fixture("eventually"))
    try:
        etcd.start()
        with contextlib.closing(Wire(("127.0.0.1", ports["one"][0]), listen=("127.0.0.1", port))) as wire:
            yield EtcdServer(etcd, wire, port=port)
    finally:
        etcd.stop()
