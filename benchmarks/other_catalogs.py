"""1,000 services × 5 instances in one template on each catalog: first file, change → file, CPU a change, memory.

A change gives one instance another port and is timed from the moment the server answered the write. Consul is measured
in the same run: what counts are the ratios. Prints one JSON line a catalog. Where confd is on PATH, it follows the same
etcd after ctemplate.

    python benchmarks/other_catalogs.py [CATALOG …]
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import logging
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from follower import Follower, wait_until
from ground import HERE, LIST_ALL, Ground, free_ports
from kazoo.client import KazooClient

SERVICES, INSTANCES = 1_000, 5
CHANGES = 40
PAUSE_SECONDS = 0.4
"""Between changes: what is measured is one, not what a rate limit makes of many."""


class Server(Protocol):
    """One catalog, filled and changed."""

    url: str

    def put(self, places: Sequence[tuple[int, int]], *, port: int) -> None:
        """Write instances, given by the number of their service and their own, all with one port."""


class Consul:
    """An agent; an instance is on one of 500 nodes."""

    def __init__(self, ground: Ground) -> None:
        self._agent = ground.consul()
        self.url = f"consul://{self._agent.address}"
        self._catalog = self._agent.fill(SERVICES, instances=INSTANCES)

    def put(self, places: Sequence[tuple[int, int]], *, port: int) -> None:
        if len(places) > 1:
            return  # it was filled by `fill`
        ((service, instance),) = places
        node = self._catalog.node(service, instance)
        self._agent.register(f"s{service}", port=port, node=node, id=f"s{service}-{instance}")


class Etcd:
    """One member, with Registrator's layout."""

    def __init__(self, ground: Ground) -> None:
        client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
        self.url = client.replace("http", "etcd") + "/services"
        self._connection = http.client.HTTPConnection(client.removeprefix("http://"), timeout=30)
        ground.start(
            program("etcd"), "--data-dir", ground.path / "etcd", "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"default={peer}", "--unsafe-no-fsync",
        )  # fmt: skip
        wait_until(self._is_up, what="etcd")

    def _is_up(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self._ask("/v3/kv/range", {"key": "AA=="}) == 200
        self._connection.close()
        return False

    def put(self, places: Sequence[tuple[int, int]], *, port: int) -> None:
        for start in range(0, len(places), 100):
            puts = [
                {
                    "request_put": {
                        "key": coded(f"/services/s{s}/host-{i}:s{s}:80"),
                        "value": coded(f"{at(s, i)}:{port}"),
                    }
                }
                for s, i in places[start : start + 100]
            ]
            assert self._ask("/v3/kv/txn", {"success": puts}) == 200

    def _ask(self, path: str, body: object) -> int:
        self._connection.request("POST", path, json.dumps(body))
        response = self._connection.getresponse()
        response.read()
        return response.status


class ZooKeeper:
    """One server, with Curator's layout."""

    def __init__(self, ground: Ground) -> None:
        (port,) = free_ports(1)
        settings = ground.path / "zoo.cfg"
        settings.write_text(
            f"dataDir={ground.path / 'zookeeper'}\nclientPort={port}\nclientPortAddress=127.0.0.1\n"
            "admin.enableServer=false\nforceSync=no\n"
        )
        ground.start(program("zookeeper-server"), settings)
        self.url = f"zookeeper://127.0.0.1:{port}/services"
        logging.getLogger("kazoo").setLevel(logging.CRITICAL)
        self._client = KazooClient(f"127.0.0.1:{port}", timeout=10)
        self._client.start(60)
        self._client.ensure_path("/services")
        self._there: set[str] = set()

    def put(self, places: Sequence[tuple[int, int]], *, port: int) -> None:
        services = [
            f"/services/s{s}" for s in dict.fromkeys(s for s, _ in places) if f"/services/s{s}" not in self._there
        ]
        self._all([self._client.create_async(path) for path in services])
        self._there |= set(services)
        waiting = []
        for s, i in places:
            record = {"name": f"s{s}", "id": f"s{s}-{i}", "address": at(s, i), "port": port}
            path, data = f"/services/s{s}/{i}", json.dumps(record).encode()
            write = self._client.set_async if path in self._there else self._client.create_async
            self._there.add(path)
            waiting.append(write(path, data))
        self._all(waiting)

    @staticmethod
    def _all(waiting: list) -> None:
        for answer in waiting:
            answer.get(timeout=60)


CATALOGS = {"consul": Consul, "etcd": Etcd, "zookeeper": ZooKeeper}


def program(name: str) -> str:
    """Where a server is, fetched if it must be."""
    found = subprocess.run([HERE.parent / "tools/get_server.sh", name], capture_output=True, text=True, check=True)
    return found.stdout.split()[-1]


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def at(service: int, instance: int) -> str:
    return f"10.{instance}.{service >> 8}.{service & 255}"


def follow(ground: Ground, url: str) -> Follower:
    """A daemon with one template of everything."""
    out = ground.path / "out.conf"
    source = out.with_suffix(".j2")
    source.write_text(LIST_ALL)
    began = time.perf_counter()
    command = [sys.executable, "-m", "ctemplate", "-catalog", url, "-state-dir", ground.path / "state"]
    process = ground.start(*command, "-template", f"{source}:{out}", log="ctemplate.log")
    return Follower("ctemplate", process, out, began)


def follow_by_confd(ground: Ground, url: str) -> Follower:
    """confd, its template in one pass: `getvs` for each service would look at every key."""
    confd = ground.path / "confd"
    out = ground.path / "confd.conf"
    (confd / "conf.d").mkdir(parents=True)
    (confd / "templates").mkdir()
    (confd / "conf.d" / "all.toml").write_text(f'[template]\nsrc = "all.tmpl"\ndest = "{out}"\nkeys = ["/services"]\n')
    (confd / "templates" / "all.tmpl").write_text(
        '{{range gets "/services/*/*"}}server {{.Value}}; # {{base (dir .Key)}}\n{{end}}'
    )
    node = url.replace("etcd", "http").removesuffix("/services")
    began = time.perf_counter()
    process = ground.start("confd", "-backend", "etcdv3", "-node", node, "-watch", "-confdir", confd)
    return Follower("confd", process, out, began)


def changes(server: Server, follower: Follower, *, ports: int) -> Iterator[float]:
    """Give one instance after the other a port that none has; the seconds until the file says so."""
    for n in range(CHANGES):
        time.sleep(PAUSE_SECONDS)
        port = ports + n
        server.put([(n * 37 % SERVICES, n % INSTANCES)], port=port)
        began = time.perf_counter()
        wanted = f":{port};".encode()
        wait_until(lambda wanted=wanted: wanted in follower.out.read_bytes(), what=f"change {n}")
        yield time.perf_counter() - began


def measure(server: Server, follower: Follower, *, ports: int) -> dict[str, object]:
    """One program's figures on one catalog."""
    first = follower.first_file(SERVICES * INSTANCES)
    time.sleep(2)  # what follows the first file is not a change
    before = follower.cpu()
    took = sorted(changes(server, follower, ports=ports))
    return {
        "first_file_s": round(first, 2),
        "change_p50_ms": round(statistics.median(took) * 1e3, 1),
        "change_p90_ms": round(took[len(took) * 9 // 10] * 1e3, 1),
        "cpu_ms_a_change": round((follower.cpu() - before) / CHANGES * 1e3, 1),
        "memory_mb": follower.resident_mb(),
        "sockets": follower.sockets(),
    }


def run(name: str) -> None:
    """Follow one catalog by ctemplate, and by confd where that can be."""
    with Ground() as ground:
        server = CATALOGS[name](ground)
        server.put([(s, i) for s in range(SERVICES) for i in range(INSTANCES)], port=8000)
        follower = follow(ground, server.url)
        print(json.dumps({"catalog": name, **measure(server, follower, ports=20_000)}), flush=True)
        if name == "etcd" and shutil.which("confd"):
            follower.stop()
            other = follow_by_confd(ground, server.url)
            print(json.dumps({"catalog": "etcd, by confd", **measure(server, other, ports=30_000)}), flush=True)


if __name__ == "__main__":
    for catalog in sys.argv[1:] or CATALOGS:
        run(catalog)
