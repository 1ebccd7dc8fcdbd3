"""One service, one template, no command: a change in Consul until the file holds it, beside the bare loop.

Both watch the same service of the same agent and write a file each; a change is timed from the moment
`PUT /v1/catalog/register` was answered. Prints one JSON line and one to read.

    python benchmarks/one_service.py [CHANGES]
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

PAUSE_SECONDS = 0.22
"""Between changes: a watch is read ten times a second at most, and what is measured is one change."""

HERE = Path(__file__).parent
TEMPLATE = '{% for i in service("web") %}server {{ i.endpoint }};\n{% endfor %}'


def free_ports(count: int) -> list[int]:
    """Ports that nobody held a moment ago."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def consul_command(http_port: int) -> list[str]:
    """A development agent on free ports of its own."""
    find = subprocess.run([HERE.parent / "tools/get_server.sh", "consul"], capture_output=True, text=True, check=True)
    names = ("-server-port", "-serf-lan-port", "-serf-wan-port")
    ports = [f"{name}={port}" for name, port in zip(names, free_ports(3), strict=True)]
    fixed = ["-bind=127.0.0.1", "-dns-port=-1", "-grpc-port=-1", "-log-level=err", f"-http-port={http_port}"]
    return [find.stdout.strip(), "agent", "-dev", *fixed, *ports]


def request(port: int, method: str, path: str, body: object = None) -> int:
    """One request with a connection of its own; the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        connection.request(method, path, json.dumps(body) if body is not None else None)
        return connection.getresponse().status


def register(port: int, service_port: int) -> None:
    """Give the one instance a port."""
    service = {"Service": "web", "ID": "web", "Port": service_port}
    request(port, "PUT", "/v1/catalog/register", {"Node": "n1", "Address": "10.0.0.1", "Service": service})


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Poll without giving up the processor for long; the waits measured here are about a millisecond."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.00005)


def main(changes: int) -> None:
    """Start everything, change the port `changes` times, print."""
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (port,) = free_ports(1)

        def start(*command: object) -> psutil.Process:
            process = subprocess.Popen(
                [str(word) for word in command], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return psutil.Process(process.pid)

        start(*consul_command(port))

        def is_up() -> bool:
            with contextlib.suppress(OSError):
                return request(port, "GET", "/v1/catalog/nodes") == 200
            return False

        wait_until(is_up)
        time.sleep(1)  # the agent answers before its own node is registered, which would wake every poll once
        register(port, 1)
        (work / "t.j2").write_text(TEMPLATE)
        (work / "out").mkdir()  # as on a host: what is written does not wake those who watch the templates
        ours, floor = work / "out/ours.conf", work / "out/floor.conf"
        pair = f"{work / 't.j2'}:{ours}"
        arguments = ["-consul-addr", f"127.0.0.1:{port}", "-template", pair, "-state-dir", work / "state"]
        processes = {
            ours: start(sys.executable, "-m", "ctemplate", *arguments),
            floor: start(sys.executable, HERE / "bare_loop.py", "127.0.0.1", port, "web", floor),
        }
        wait_until(lambda: ours.exists() and floor.exists())
        time.sleep(2)  # what a start still does in the background is not a change's cost
        before = {path: sum(process.cpu_times()[:2]) for path, process in processes.items()}
        took: dict[Path, list[float]] = {path: [] for path in processes}
        for number in range(changes):
            wanted = f":{2000 + number};".encode()
            register(port, 2000 + number)
            began = time.perf_counter()
            waiting = set(processes)
            while waiting:
                for path in list(waiting):
                    if wanted in path.read_bytes():
                        took[path].append(time.perf_counter() - began)
                        waiting.discard(path)
                time.sleep(0.00005)
            time.sleep(PAUSE_SECONDS)
        figures = {}
        for path, process in processes.items():
            cuts = statistics.quantiles(took[path], n=100)
            cpu = sum(process.cpu_times()[:2]) - before[path]
            figures[path.stem] = {
                "p50_ms": round(cuts[49] * 1e3, 2),
                "p99_ms": round(cuts[98] * 1e3, 2),
                "cpu_ms_a_change": round(cpu / changes * 1e3, 2),
                "resident_mb": round(process.memory_info().rss / 1e6, 1),
            }
        ratio = round(figures["ours"]["p50_ms"] / figures["floor"]["p50_ms"], 2)
        print(json.dumps({"benchmark": "one_service", "changes": changes, "p50_ratio": ratio, **figures}))
        ours_, floor_ = figures["ours"], figures["floor"]
        print(
            f"1 service, {changes} changes: p50 {ours_['p50_ms']} ms ({ratio} × the bare loop's {floor_['p50_ms']}), "
            f"p99 {ours_['p99_ms']} ms ({floor_['p99_ms']}), CPU {ours_['cpu_ms_a_change']} ms a change "
            f"({floor_['cpu_ms_a_change']}), {ours_['resident_mb']} MB resident ({floor_['resident_mb']})"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
