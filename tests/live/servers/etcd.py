"""etcd: one member, often the only one of its cluster."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from servers.process import START_SECONDS, Eventually, Server


class Etcd(Server):
    """One member of an etcd cluster, often the only one."""

    def __init__(
        self, binary: str, directory: Path, *, name: str, ports: Mapping[str, tuple[int, int]], eventually: Eventually
    ) -> None:
        client, peer = ports[name]
        self.address = f"127.0.0.1:{client}"
        self.url = f"http://{self.address}"
        self.data = directory / "data"
        self.token = ""
        self._eventually = eventually
        peers = ",".join(f"{member}=http://127.0.0.1:{port}" for member, (_, port) in ports.items())
        own = f"http://127.0.0.1:{peer}"
        super().__init__(
            [
                binary, "--name", name, "--data-dir", str(self.data), "--listen-client-urls", self.url,
                "--advertise-client-urls", self.url, "--listen-peer-urls", own, "--initial-advertise-peer-urls", own,
                "--initial-cluster", peers, "--initial-cluster-token", peers, "--unsafe-no-fsync",
            ],
            directory,
        )  # fmt: skip

    def start(self) -> None:
        """Start the member and wait until its cluster answers."""
        self.launch()
        self._eventually(self.is_ready, START_SECONDS)

    def is_ready(self) -> bool:
        self.check()
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/health", trust_env=False).json().get("health") == "true"
        return False

    def wipe(self) -> None:
        """Lose everything; the member is to be ended before."""
        shutil.rmtree(self.data)

    def ask(self, path: str, **body: Any) -> Any:
        """One request to the gateway."""
        headers = {"Authorization": self.token} if self.token else {}
        response = httpx.post(f"{self.url}/v3/{path}", json=body, headers=headers, trust_env=False, timeout=20)
        response.raise_for_status()
        return response.json()

    def put(self, key: str, value: str | bytes | dict[str, Any]) -> None:
        if isinstance(value, dict):
            value = json.dumps(value)
        data = value if isinstance(value, bytes) else value.encode()
        self.ask("kv/put", key=_base64(key.encode()), value=_base64(data))

    def delete(self, key: str, *, below: bool = False) -> None:
        data = key.encode()
        end = {"range_end": _base64(data[:-1] + bytes([data[-1] + 1]))} if below else {}
        self.ask("kv/deleterange", key=_base64(data), **end)

    def clear(self) -> None:
        self.ask("kv/deleterange", key=_base64(b"\0"), range_end=_base64(b"\0"))

    def revision(self) -> int:
        return int(self.ask("kv/range", key=_base64(b"\0"), range_end=_base64(b"\0"), limit=1)["header"]["revision"])

    def protect(self, *, user: str, password: str, prefix: str) -> None:
        """Turn authentication on, with a root and a user who may read below `prefix`."""
        for name, word in (("root", "root"), (user, password)):
            self.ask("auth/user/add", name=name, password=word)
            self.ask("auth/role/add", name=name)
            self.ask("auth/user/grant", user=name, role=name)
        self.grant(user, prefix)
        self.ask("auth/enable")
        self.token = self.ask("auth/authenticate", name="root", password="root")["token"]

    def grant(self, role: str, prefix: str) -> None:
        key = prefix.encode()
        end = _base64(key[:-1] + bytes([key[-1] + 1]))
        self.ask("auth/role/grant", name=role, perm={"permType": "READ", "key": _base64(key), "range_end": end})

    def revoke(self, role: str, prefix: str) -> None:
        key = prefix.encode()
        end = _base64(key[:-1] + bytes([key[-1] + 1]))
        self.ask("auth/role/revoke", role=role, key=_base64(key), range_end=end)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
