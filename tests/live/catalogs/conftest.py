"""Real etcd and ZooKeeper servers, and a hub that follows any catalog by its URL."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.following import Following, following
from ctemplate.catalog.registry import open_catalog
from ctemplate.events import Event
from ctemplate.model import Query
from ctemplate.settings import CatalogSource, Consul
from servers.etcd import Etcd
from servers.process import START_SECONDS, Eventually, FreePort
from servers.zookeeper import ZooKeeper


@contextlib.asynccontextmanager
async def _follow(url: str, *queries: Query, **options: Any) -> AsyncIterator[Following]:
    events: list[Event] = []
    catalog = open_catalog(CatalogSource(url=url, options=options), Consul(), emit=events.append)
    async with following(catalog, *queries, events=events) as f:
        yield f


@pytest.fixture
def follow() -> Callable[..., contextlib.AbstractAsyncContextManager[Following]]:
    """`async with follow(url, *queries, **options) as f`: a hub that keeps the queries open until the end."""
    return _follow


# --- etcd -----------------------------------------------------------------------------------------


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
            eventually(member.is_ready, START_SECONDS)
        return cluster

    yield make
    for member in made:
        member.stop()


# --- ZooKeeper ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _shared_zookeeper(
    require: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
    free_port: FreePort,
    eventually: Eventually,
) -> Iterator[ZooKeeper]:
    directory = tmp_path_factory.mktemp("zookeeper")
    server = ZooKeeper(require("zookeeper-server"), directory, port=free_port(), eventually=eventually)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def zookeeper(_shared_zookeeper: ZooKeeper) -> Iterator[ZooKeeper]:
    """The server that all tests share, empty but for `/services`. A test that ends it takes `make_zookeeper`."""
    _shared_zookeeper.put("/services")
    yield _shared_zookeeper
    _shared_zookeeper.clear()


@pytest.fixture
def make_zookeeper(
    require: Callable[[str], str], tmp_path: Path, free_port: FreePort, eventually: Eventually
) -> Iterator[Callable[[], ZooKeeper]]:
    """`make_zookeeper()`: a started server of the test's own, with `/services`; ended after it."""
    made: list[ZooKeeper] = []

    def make() -> ZooKeeper:
        directory = tmp_path / f"zookeeper-{len(made)}"
        made.append(ZooKeeper(require("zookeeper-server"), directory, port=free_port(), eventually=eventually))
        made[-1].start()
        made[-1].put("/services")
        return made[-1]

    yield make
    for server in made:
        server.close()
