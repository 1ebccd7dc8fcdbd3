"""ZooKeeper: one standalone server, and a client of its own to write with."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import socket
from pathlib import Path
from typing import Any

from kazoo.client import KazooClient
from kazoo.retry import KazooRetry

from servers.process import START_SECONDS, Eventually, Server

_SILENT = logging.getLogger("tests.kazoo")
_SILENT.propagate = False
_SILENT.addHandler(logging.NullHandler())


class ZooKeeper(Server):
    """Started by `start`, which also connects the client; `kill`, `pause` and the like leave the client to itself."""

    def __init__(self, binary: str, directory: Path, *, port: int, eventually: Eventually) -> None:
        self.address = f"127.0.0.1:{port}"
        self.data = directory / "data"
        self._eventually = eventually
        self._client: KazooClient | None = None
        directory.mkdir(parents=True, exist_ok=True)
        settings = directory / "zoo.cfg"
        settings.write_text(
            f"dataDir={self.data}\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=1000\n"
            "admin.enableServer=false\nmaxClientCnxns=0\n4lw.commands.whitelist=*\n"
        )
        super().__init__([binary, str(settings)], directory)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.launch()
        self._eventually(self.is_ready, START_SECONDS)

    def is_ready(self) -> bool:
        self.check()
        host, port = self.address.split(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1) as asked:
            asked.sendall(b"ruok")
            return asked.recv(16) == b"imok"
        return False

    @property
    def client(self) -> KazooClient:
        """A client, to write with; its calls wait until the server is there."""
        if self._client is None:
            self._client = KazooClient(
                hosts=self.address,
                timeout=4,
                logger=_SILENT,
                connection_retry=KazooRetry(max_tries=-1, delay=0.05, backoff=1, max_jitter=0),
                command_retry=KazooRetry(max_tries=-1, delay=0.05, backoff=1, max_jitter=0, deadline=START_SECONDS),
            )
            self._client.start(timeout=START_SECONDS)
        return self._client

    def wipe(self) -> None:
        """Lose everything; the server is to be ended before. A client that saw more is refused from then on."""
        shutil.rmtree(self.data)
        self._end_client()

    def put(self, path: str, value: str | bytes | dict[str, Any] = b"", **options: Any) -> None:
        """Make a node, and those above it, or change what it holds."""
        if isinstance(value, dict):
            value = json.dumps(value)
        data = value if isinstance(value, bytes) else value.encode()
        if self.client.retry(self.client.exists, path):
            self.client.retry(self.client.set, path, data)
        else:
            self.client.retry(self.client.create, path, data, makepath=True, **options)

    def delete(self, path: str) -> None:
        """Delete a node and all below it."""
        self.client.retry(self.client.delete, path, recursive=True)

    def clear(self) -> None:
        for name in self.client.retry(self.client.get_children, "/"):
            if name != "zookeeper":
                self.delete(f"/{name}")

    def close(self) -> None:
        """End the server and the client."""
        self.kill()
        self._end_client()

    def _end_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.stop()
                client.close()
