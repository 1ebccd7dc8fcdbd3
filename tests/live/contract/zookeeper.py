"""A ZooKeeper of the suite's own, behind a wire, with Curator's records. A stranger is kept out by an ACL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from kazoo.security import make_digest_acl

from contract import BAD, SERVICE
from contract.wire import Wire, Wired
from ctemplate.settings import CatalogSource, Consul
from servers.zookeeper import ZooKeeper

PATH = f"/services/{SERVICE}"


class ZooKeeperServer(Wired):
    consul = Consul()

    def __init__(self, zookeeper: ZooKeeper, wire: Wire, *, port: int) -> None:
        self._zookeeper = zookeeper
        self.wire = wire
        self._address = f"127.0.0.1:{port}"
        self.clear()

    def source(self) -> CatalogSource:
        return CatalogSource(url=f"zookeeper://{self._address}/services")

    def put(self, id: str, port: int) -> None:
        self._put(id, address="127.0.0.1", port=port)

    def put_bad(self, id: str) -> None:
        self._put(id, address=BAD, port=80)

    def _put(self, id: str, *, address: str, port: int) -> None:
        self._zookeeper.put(f"{PATH}/{id}", {"name": SERVICE, "id": id, "address": address, "port": port})

    def remove(self, id: str) -> None:
        self._zookeeper.delete(f"{PATH}/{id}")

    def kill(self) -> None:
        self._zookeeper.kill()

    def start(self) -> None:
        self._zookeeper.start()

    def restart_empty(self) -> None:
        self._zookeeper.kill()
        self._zookeeper.wipe()
        self._zookeeper.start()

    def freeze(self) -> None:
        self._zookeeper.pause()

    def thaw(self) -> None:
        self._zookeeper.resume()

    def stranger(self) -> tuple[CatalogSource, Consul]:
        client = self._zookeeper.client
        client.add_auth("digest", "lb:s3cret")
        client.set_acls(PATH, [make_digest_acl("lb", "s3cret", all=True)])
        return CatalogSource(url=f"zookeeper://lb:{BAD.replace(':', '%3A')}@{self._address}/services"), Consul()

    def clear(self) -> None:
        self.mend()
        self._zookeeper.resume()
        self._zookeeper.clear()
        self._zookeeper.put("/services")


@contextlib.contextmanager
def open_server(request: pytest.FixtureRequest) -> Iterator[ZooKeeperServer]:
    fixture = request.getfixturevalue
    free_port = fixture("free_port")
    directory, own, port = fixture("tmp_path_factory").mktemp("zookeeper"), free_port(), free_port()
    binary = fixture("require")("zookeeper-server")
    zookeeper = ZooKeeper(binary, directory, port=own, eventually=fixture("eventually"))
    try:
        zookeeper.start()
        with contextlib.closing(Wire(("127.0.0.1", own), listen=("127.0.0.1", port))) as wire:
            yield ZooKeeperServer(zookeeper, wire, port=port)
    finally:
        zookeeper.close()
