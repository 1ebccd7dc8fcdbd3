"""What every benchmark stands on: a Consul of its own with a catalog of a given size, and figures of a process.

Everything listens on loopback, on free ports, and is ended by the process id that was started here.
"""

from __future__ import annotations

import compileall
import contextlib
import http.client
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from follower import Follower, wait_until

HERE = Path(__file__).parent
TXN_OPERATIONS = 60
"""Of the 64 that Consul takes in one transaction."""
LIST_ALL = (
    "{% for s in services() %}{% for i in service(s.name) %}server {{ i.endpoint }}; # {{ s.name }}\n"
    "{% endfor %}{% endfor %}"
)
"""Every instance of every passing service, a line each."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody held a moment ago."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class Ground:
    """A scratch directory and the processes of one benchmark; use as a context manager."""

    def __init__(self) -> None:
        # As every installer does: without it each start would compile all of it again where Python may not keep that.
        compileall.compile_dir(HERE.parent / "ctemplate", quiet=1)
        self._stack = contextlib.ExitStack()
        self.path = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="ctemplate-bench-")))

    def __enter__(self) -> Ground:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def start(self, *command: object, log: str = "") -> psutil.Process:
        """Start a process that ends with this benchmark; its stderr goes to the file `log`."""
        with (self.path / log if log else Path(os.devnull)).open("ab") as errors:
            process = subprocess.Popen([str(w) for w in command], stdout=subprocess.DEVNULL, stderr=errors)
        self._stack.callback(_end, process)
        return psutil.Process(process.pid)

    def consul(self, *, connections: int = 0) -> Agent:
        """Start a development agent; `connections` raises its limit for one client address."""
        (port, *others) = free_ports(4)
        found = subprocess.run([HERE.parent / "tools/get_server.sh", "consul"], capture_output=True, text=True)
        if found.returncode:
            sys.exit(found.stderr)
        names = ("-server-port", "-serf-lan-port", "-serf-wan-port")
        options = [f"{name}={other}" for name, other in zip(names, others, strict=True)]
        options += ["-bind=127.0.0.1", "-dns-port=-1", "-grpc-port=-1", "-log-level=err", f"-http-port={port}"]
        options += ["-disable-host-node-id"]
        if connections:
            options += ["-hcl", f"limits {{ http_max_conns_per_client = {connections} }}"]
        agent = Agent(port, self.start(found.stdout.strip(), "agent", "-dev", *options))
        wait_until(agent.is_up, what="Consul")
        time.sleep(1)  # it answers before its own node is registered, which would wake every poll once
        return agent

    def ctemplate(self, agent: Agent, template: str | Sequence[str], *options: object) -> Follower:
        """Start a daemon that renders `template` to `0.conf`; several templates go to `0.conf`, `1.conf` …."""
        texts = [template] if isinstance(template, str) else template
        pairs, out = self._pairs("ctemplate", texts)
        began = time.perf_counter()
        process = self.start(
            sys.executable, "-m", "ctemplate", "-consul-addr", agent.address, "-state-dir", out.parents[1] / "state",
            *pairs, *options, log="ctemplate.log",
        )  # fmt: skip
        return Follower("ctemplate", process, out, began)

    def start_ctemplate(self, agent: Agent, pair: str) -> Follower:
        """Start a daemon on one `SRC:DEST:COMMAND`."""
        arguments = ["-consul-addr", agent.address, "-state-dir", self.path / "state", "-template", pair]
        began = time.perf_counter()
        process = self.start(sys.executable, "-m", "ctemplate", *arguments, log="ctemplate.log")
        return Follower("ctemplate", process, Path(pair.split(":")[1]), began)

    def has_consul_template(self) -> bool:
        """Whether it is on PATH: without it nothing is held against it."""
        return shutil.which("consul-template") is not None

    def consul_template(self, agent: Agent, template: str | Sequence[str]) -> Follower:
        """The same with consul-template; its templates are Go's."""
        texts = [template] if isinstance(template, str) else template
        pairs, out = self._pairs("consul-template", texts)
        began = time.perf_counter()
        process = self.start("consul-template", "-kill-signal", "SIGTERM", "-consul-addr", agent.address, *pairs)
        return Follower("consul-template", process, out, began)

    def start_consul_template(self, agent: Agent, pair: str, *options: object) -> Follower:
        """Start consul-template on one `SRC:DEST:COMMAND`."""
        began = time.perf_counter()
        process = self.start(
            "consul-template", "-kill-signal", "SIGTERM", "-consul-addr", agent.address, "-template", pair, *options
        )
        return Follower("consul-template", process, Path(pair.split(":")[1]), began)

    def _pairs(self, program: str, texts: Sequence[str]) -> tuple[list[object], Path]:
        """Flags, and the first output. It is not beside the templates: a write would wake those who watch them."""
        directory = Path(tempfile.mkdtemp(prefix=f"{program}-", dir=self.path))
        templates, outs = directory / "templates", directory / "out"
        templates.mkdir()
        outs.mkdir()
        pairs: list[object] = []
        for number, text in enumerate(texts):
            source = templates / f"{number}.j2"
            source.write_text(text)
            pairs += ["-template", f"{source}:{outs / f'{number}.conf'}"]
        return pairs, outs / "0.conf"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Agent:
    """One Consul, changed as agents would: through `/v1/catalog` and `/v1/txn`."""

    def __init__(self, port: int, process: psutil.Process) -> None:
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.process = process
        self._local = threading.local()

    def request(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Send one request on this thread's own connection."""
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise

    def is_up(self) -> bool:
        """Whether it has a leader and answers."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request("GET", "/v1/catalog/nodes")[0] == 200
        return False

    def stop(self) -> None:
        """End it before the benchmark does: it goes on with polls for a minute after nobody waits for them."""
        self.process.terminate()
        self.process.wait(30)

    def put(self, path: str, body: object) -> None:
        """Change something; the change is in the catalog when this returns."""
        status, said = self.request("PUT", path, body)
        if status != 200:
            raise RuntimeError(f"{path}: {status} {said[:200]!r}")

    def register(self, name: str, *, port: int, node: str = "n0", id: str = "") -> None:
        """Write one instance with a check of its own that passes."""
        address = node_address(node)
        self.put(
            "/v1/catalog/register",
            {
                "Node": node, "Address": address, "SkipNodeUpdate": True,
                "Service": {"Service": name, "ID": id or name, "Port": port, "Address": address},
            },
        )  # fmt: skip

    def set_status(self, id: str, status: str, *, node: str) -> None:
        """Set an instance's check: passing, warning or critical."""
        check = {"Node": node, "CheckID": f"service:{id}", "Name": "check", "ServiceID": id, "Status": status}
        self.put("/v1/catalog/register", {"Node": node, "SkipNodeUpdate": True, "Check": check})

    def fill(self, services: int, *, instances: int = 5, nodes: int = 500, threads: int = 8) -> Catalog:
        """Write `services` × `instances` on `nodes`, each instance with a check, by transactions."""
        catalog = Catalog(services, instances=instances, nodes=nodes)
        operations = [op for node in range(nodes) for op in [_node_operation(f"n{node}")]]
        self._write(operations, threads)
        self._write([op for place in catalog.places for op in catalog.operations(place)], threads)
        return catalog

    def _write(self, operations: Sequence[dict[str, Any]], threads: int) -> None:
        chunks = [operations[i : i + TXN_OPERATIONS] for i in range(0, len(operations), TXN_OPERATIONS)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda chunk: self.put("/v1/txn", chunk), chunks))


def _node_operation(node: str) -> dict[str, Any]:
    return {"Node": {"Verb": "set", "Node": {"Node": node, "Address": node_address(node)}}}


def node_address(node: str) -> str:
    """Of the node `n17`: 10.0.0.17."""
    number = int(node[1:])
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


class Catalog:
    """Which services there are and where: service `s17` has its instances `s17-0` … on nodes that are far apart."""

    def __init__(self, services: int, *, instances: int, nodes: int) -> None:
        self.services = services
        self.instances = instances
        self.nodes = nodes

    @property
    def places(self) -> Iterable[tuple[int, int]]:
        """Every instance as service number and its own."""
        return ((s, i) for s in range(self.services) for i in range(self.instances))

    def node(self, service: int, instance: int) -> str:
        """Where an instance is."""
        return f"n{(service + instance * (self.nodes // self.instances or 1)) % self.nodes}"

    def operations(self, place: tuple[int, int]) -> list[dict[str, Any]]:
        """Write one instance and its check."""
        service, instance = place
        node, id = self.node(service, instance), f"s{service}-{instance}"
        body = {"ID": id, "Service": f"s{service}", "Port": 1024 + service % 60000, "Address": node_address(node)}
        check = {"Node": node, "CheckID": f"service:{id}", "Name": "check", "ServiceID": id, "Status": "passing"}
        return [
            {"Service": {"Verb": "set", "Node": node, "Service": body}},
            {"Check": {"Verb": "set", "Check": check}},
        ]


def report(name: str, figures: dict[str, Any], sentence: str) -> None:
    """Print one JSON line and one to read."""
    print(json.dumps({"benchmark": name, **figures}), flush=True)
    print(sentence, flush=True)


def machine() -> str:
    """What the figures were made on."""
    return f"{os.cpu_count()} cores, {platform.machine()}, CPython {platform.python_version()}"
