"""A process that is up for months: what 100,000 changes leave in its memory."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

SERVICES = 50
PORTS = 12_000
"""As many as Nomad gives to dynamic ports (20,000 to 32,000)."""
WARM = 2_000
"""Changes after which a process has all that it keeps."""
GROWTH_BYTES = 2 * 1024 * 1024


class RestlessConsul:
    """Answers each question of its services at once, and each time with another port."""

    def __init__(self) -> None:
        self.changes = 0
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
            self._loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        self._server.close()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                path = request.split(b" ")[1].decode().partition("?")[0]
                writer.write(self._answer(path.rpartition("/")[2]))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _answer(self, name: str) -> bytes:
        self.changes += 1
        port = 20_000 + self.changes % PORTS
        node = {"Node": "n1", "Address": "127.0.0.1", "Meta": {}, "Datacenter": "dc1"}
        service = {"ID": name, "Service": name, "Address": "127.0.0.1", "Port": port, "Tags": [], "Meta": {}}
        body = json.dumps([{"Node": node, "Service": service, "Checks": []}]).encode()
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            f"X-Consul-Index: {self.changes + 1}\r\nX-Consul-Knownleader: true\r\nX-Consul-Lastcontact: 0\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@pytest.fixture
def restless() -> Iterator[RestlessConsul]:
    server = RestlessConsul()
    yield server
    server.stop()


@pytest.mark.torture(only=True)
def test_a_hundred_thousand_changes_leave_no_more_than_two_megabytes(
    restless: RestlessConsul,
    ctemplate: Any,
    tmp_path: Path,
    eventually: Callable[..., Any],
    figure: Callable[[str, object], None],
) -> None:
    names = " ".join(f"s{number}" for number in range(SERVICES))
    (tmp_path / "t.j2").write_text(
        f'{{% for name in "{names}".split() %}}{{% for i in service(name) %}}'
        "server {{ i.endpoint }};\n{% endfor %}{% endfor %}"
    )
    destination = tmp_path / "out.conf"
    running = ctemplate(
        "-consul-addr", f"127.0.0.1:{restless.port}", "-log-level", "warning",
        "-template", f"{tmp_path / 't.j2'}:{destination}",
    )  # fmt: skip
    process = psutil.Process(running.pid)

    def resident_after(changes: int) -> int:
        eventually(lambda: restless.changes >= changes, 3_000)
        return int(process.memory_info().rss)

    before = resident_after(WARM)
    written = destination.read_text()
    after = resident_after(WARM + 100_000)
    assert destination.read_text() != written
    assert running.process.poll() is None
    figure("changes followed by one process", 100_000)
    figure("… its memory before and after, MB (growth under 2)", f"{before / 1e6:.1f}, {after / 1e6:.1f}")
    assert after - before < GROWTH_BYTES
