"""A real Docker engine for tests, with real containers, in namespaces of its own."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from standstill import pause

NAMESPACE = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


class Docker:
    """A Docker engine in namespaces of its own. It and its containers are reached from here by its socket only."""

    def __init__(self, binary: str, busybox: str, *, search: str, eventually: Callable[..., Any]) -> None:
        """`search`: the PATH that the engine finds its helpers on."""
        # Not pytest's directory: the path of a socket may have 107 characters.
        self.directory = Path(tempfile.mkdtemp(prefix="ctd-"))
        self.socket = self.directory / "docker.sock"
        self.url = f"docker://{self.socket}"
        self.log = self.directory / "dockerd.log"
        self._binary = binary
        self._busybox = busybox
        self._eventually = eventually
        # The first process of the namespaces: whatever runs in them ends with it, and it takes in what lost its parent.
        # containerd is apart from the engine, as systemd runs it: an engine that is killed leaves its containers.
        self._containerd = self.directory / "containerd.sock"
        files = f"--address {self._containerd} --root {self.directory}/c --state {self.directory}/s"
        inside = f"ip link set lo up && echo ready && containerd {files} 2> {self.directory}/containerd.log & wait"
        self._environment = {**os.environ, "PATH": search}  # of containerd, its shim, runc and docker-proxy
        self._holder = subprocess.Popen([*NAMESPACE, "sh", "-c", inside], stdout=subprocess.PIPE, env=self._environment)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        (self._init,) = psutil.Process(self._holder.pid).children()
        self._process: psutil.Process | None = None
        self._waiting: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        """Start the engine and wait until it answers; `arguments` go to dockerd."""
        files = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        options = [f"--{name}={self.directory / file}" for name, file in files.items()]
        options += [
            f"--containerd={self._containerd}",
            "--iptables=false",
            "--storage-driver=vfs",
            "--bip=172.31.9.1/24",
            f"--host=unix://{self.socket}",
        ]
        enter = ["nsenter", f"--target={self._init.pid}", "--net", "--mount", "--pid"]
        with self.log.open("ab") as log:
            command = [*enter, self._binary, *options, *arguments]
            started = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment)

        def ready() -> bool:
            if started.poll() is not None:
                pytest.fail(f"dockerd ended with {started.returncode}:\n{self.log.read_text()[-3000:]}")
            with contextlib.suppress(OSError):
                return self._ask("GET", "/_ping", None)[0] == 200
            return False

        self._waiting = started
        self._eventually(ready, 60)
        (self._process,) = psutil.Process(started.pid).children()

    @property
    def process(self) -> psutil.Process:
        assert self._process is not None, "dockerd is not running"
        return self._process

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the engine and wait for it; its containers end with SIGTERM, not with SIGKILL."""
        if self._process is not None:
            self.process.send_signal(how)
            if self._waiting is not None:
                self._waiting.wait(60)
            self._process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def pause(self) -> None:
        """Stop the engine where it stands: its socket takes connections, and nothing answers."""
        pause(self.process.pid)

    def resume(self) -> None:
        self.process.resume()
        if self._waiting is not None:
            self._waiting.send_signal(signal.SIGCONT)  # nsenter stops with what it waits for

    def make_images(self) -> None:
        """`team/box:1`, which holds busybox, and `team/open:1`, which exposes port 80 besides."""
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            for directory in ("bin", "tmp", "www"):
                entry = tarfile.TarInfo(directory)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
                archive.addfile(entry)
            archive.add(Path(self._busybox).resolve(), "bin/busybox")
            shell = tarfile.TarInfo("bin/sh")
            shell.type, shell.linkname = tarfile.SYMTYPE, "/bin/busybox"
            archive.addfile(shell)
        for repo, changes in (("team/box", {}), ("team/open", {"changes": "EXPOSE 80"})):
            self.request("POST", "/images/create", tar.getvalue(), fromSrc="-", repo=repo, tag="1", **changes)

    def _ask(self, method: str, target: str, content: bytes | None) -> tuple[int, bytes]:
        with contextlib.closing(_UnixConnection(self.socket)) as connection:
            headers = {"Content-Type": "application/json"} if content else {}
            connection.request(method, target, content, headers)
            response = connection.getresponse()
            return response.status, response.read()

    def request(self, method: str, path: str, body: Any = None, **params: str) -> Any:
        """One request; a bytes body goes as it is, anything else as JSON. Returns what JSON came."""
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        status, said = self._ask(method, f"/v1.41{path}?{urllib.parse.urlencode(params)}", content)
        assert status < 400, f"{method} {path}: {status} {said.decode()}"
        return json.loads(said) if said.startswith((b"{", b"[")) and b"\n{" not in said else None

    def run(
        self,
        name: str,
        *command: str,
        image: str = "team/box:1",
        env: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        exposed: Sequence[str] = (),
        published: Mapping[str, int | str] | None = None,
        network: str = "bridge",
        health: str = "",
        restart: bool = False,
    ) -> str:
        """Start a container, and return its id. `published`: inner port to outer port, or to `address:port`."""
        bindings = {port: [_binding(str(outside))] for port, outside in (published or {}).items()}
        host = {
            "NetworkMode": network,
            "PortBindings": bindings,
            "RestartPolicy": {"Name": "always" if restart else ""},
        }
        body: dict[str, Any] = {
            "Image": image,
            "Cmd": list(command) or ["sh", "-c", "trap 'exit 0' TERM; while :; do /bin/busybox sleep 0.1; done"],
            "Env": [f"{key}={value}" for key, value in (env or {}).items()],
            "Labels": dict(labels or {}),
            "ExposedPorts": {port: {} for port in (*exposed, *bindings)},
            "HostConfig": host,
        }
        if health:
            test = ["CMD-SHELL", health]
            body["Healthcheck"] = {"Test": test, "Interval": 10**8, "Timeout": 10**10, "Retries": 1}
        made = self.request("POST", "/containers/create", body, name=name)["Id"]
        self.act(name, "start")
        return str(made)

    def act(self, container: str, action: str) -> None:
        """`start`, `kill`, `pause`, `unpause` or `restart` a container."""
        self.request("POST", f"/containers/{container}/{action}", **({"t": "1"} if action == "restart" else {}))

    def remove(self, container: str) -> None:
        self.request("DELETE", f"/containers/{container}", force="1")

    def execute(self, container: str, *command: str) -> None:
        """Run a command in a container to its end."""
        made = self.request("POST", f"/containers/{container}/exec", {"Cmd": list(command)})["Id"]
        self.request("POST", f"/exec/{made}/start", {"Detach": False})

    def make_network(self, name: str, subnet: str) -> None:
        self.request("POST", "/networks/create", {"Name": name, "IPAM": {"Config": [{"Subnet": subnet}]}})

    def connect(self, network: str, container: str) -> None:
        self.request("POST", f"/networks/{network}/connect", {"Container": container})

    def names(self) -> set[str]:
        """Of the containers that run."""
        return {entry["Names"][0][1:] for entry in self.request("GET", "/containers/json")}

    def clear(self) -> None:
        """Leave nothing behind for the next test."""
        if self._process is None:
            self.start()
        self.resume()
        for entry in self.request("GET", "/containers/json", all="1"):
            self.remove(entry["Id"])
        for network in self.request("GET", "/networks"):
            if network["Name"] not in ("bridge", "host", "none"):
                self.request("DELETE", f"/networks/{network['Id']}")

    def close(self) -> None:
        """End the engine and everything in its namespaces."""
        self._holder.kill()
        self._holder.wait(10)
        if self._waiting is not None:
            self._waiting.wait(10)
        assert self._holder.stdout is not None
        self._holder.stdout.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("docker", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.sock.close()
            raise


def _binding(outside: str) -> dict[str, str]:
    address, _, port = outside.rpartition(":")
    return {"HostIp": address, "HostPort": port}
