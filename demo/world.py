"""A whole chain on one machine: Docker, Consul, `ctemplate register`, ctemplate, nginx and wrk.

All of it runs in network, mount and process namespaces of its own, below one directory, and ends with the process that
made it. Nothing of the machine's own Docker, Consul or nginx is touched.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NGINX = """\
daemon off;
user root;
worker_processes 2;
pid nginx.pid;
error_log error.log notice;
events {}
http {
    access_log off;
    client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
    include conf.d/*.conf;
}
"""

TEMPLATE = """\
upstream web {
{% for i in service("web") %}
    server {{ i.endpoint }};
{% else %}
    server 127.0.0.1:9 down;
{% endfor %}
}
server {
    listen 127.0.0.1:8080;
    location / {
        proxy_pass http://web;
        proxy_connect_timeout 500ms;
        proxy_next_upstream error timeout;    # what a killed container did not answer, another does
    }
}
"""

# A connection a request, and a pace that leaves local ports to be used again.
WRK = """\
wrk.headers["Connection"] = "close"
function delay() return 10 end
"""

NEEDED = {
    "dockerd": "docker.io", "containerd": "containerd", "runc": "runc", "busybox": "busybox-static", "nginx": "nginx",
    "wrk": "wrk", "ip": "iproute2", "unshare": "util-linux", "consul": "consul",
}  # fmt: skip
"""Programs, and Debian's packages that hold them."""
INSTALLED = ("dockerd", "containerd", "runc", "unshare")
"""What must be installed; the others can be fetched."""
INSIDE = "CTEMPLATE_DEMO_INSIDE"


def missing(*, consul: bool) -> list[str]:
    """Return what this machine lacks, in words; empty when nothing is."""
    lacks = [
        f"{program} (Debian's package {package})"
        if program in INSTALLED
        else f"{program} (tools/get_server.sh {program})"
        for program, package in NEEDED.items()
        if not shutil.which(program) and (consul or program != "consul")
    ]
    return lacks + (["root, which a Docker engine needs"] if os.geteuid() != 0 else [])


def go_inside() -> None:
    """Run this script again in namespaces of its own; returns only there."""
    if os.environ.get(INSIDE):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for name, value in {"ip_local_port_range": "10240 65000", "tcp_tw_reuse": "1"}.items():
            with contextlib.suppress(OSError):
                Path("/proc/sys/net/ipv4", name).write_text(value)
        return
    namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    os.execvpe(namespaces[0], [*namespaces, sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})


class Log:
    """The lines that a process writes, with the time at which each came."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[tuple[float, str]] = []
        self._process = process
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append((time.time(), line.rstrip("\n")))

    def find(self, pattern: str, *, since: float) -> float | None:
        """Return when the first line came that matches after `since`."""
        return next((at for at, line in list(self.lines) if at >= since and re.search(pattern, line)), None)


class World:
    """The chain. `consul`: with a registry between; without one ctemplate asks the engine itself."""

    def __init__(self, *, consul: bool, internal: bool) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="ctd-"))  # short: a socket's path may have 107 characters
        self.consul = consul
        self.internal = internal
        self.host = socket.gethostname()
        self.logs: dict[str, Log] = {}
        self.file = self.directory / "nginx/conf.d/web.conf"
        self.sizes: list[int] = []
        """How many servers each version of the file had that was seen."""
        self.seen: dict[frozenset[str], float] = {}
        """Each set of servers that the file held, and when it was last new."""
        self._processes: dict[str, subprocess.Popen[Any]] = {}
        self._next = 0

    # --- processes

    def start(self, name: str, *command: str | Path) -> subprocess.Popen[Any]:
        """Start a process whose log is kept: ours as lines with their times, others' in a file."""
        words = [str(word) for word in command]
        if name in ("ctemplate", "register"):
            process: subprocess.Popen[Any] = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
            self.logs[name] = Log(process)
        else:
            with (self.directory / f"{name}.log").open("ab") as log:
                process = subprocess.Popen(words, stdout=log, stderr=log)
        self._processes[name] = process
        return process

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End a process and wait for it."""
        self._processes[name].send_signal(how)
        self._processes[name].wait(30)

    def freeze(self, name: str, seconds: float) -> None:
        """Stop a process for a while."""
        self._processes[name].send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._processes[name].send_signal(signal.SIGCONT)

    def start_engine(self) -> None:
        """Start dockerd and wait until it answers. Containers outlive it, since containerd is apart."""
        at = self.directory
        self.start(
            "dockerd", "dockerd", f"--containerd={at}/containerd.sock", f"--data-root={at}/d", f"--exec-root={at}/e",
            f"--pidfile={at}/dockerd.pid", f"--host=unix://{at}/docker.sock", "--bip=172.31.9.1/24",
            "--iptables=false", "--storage-driver=vfs", "--live-restore",
        )  # fmt: skip
        until(lambda: self.docker("GET", "/_ping") is not None, "dockerd")

    def start_register(self) -> None:
        """Start `ctemplate register`."""
        flags = ["-internal"] if self.internal else []
        self.start("register", CTEMPLATE, "register", "-from", f"docker://{self.directory}/docker.sock", *flags)

    def start_docker(self) -> None:
        """Start the engine and what it needs, with an image."""
        at = self.directory
        files: list[str | Path] = ["--address", at / "containerd.sock", "--root", at / "c", "--state", at / "s"]
        self.start("containerd", "containerd", *files)
        until((at / "containerd.sock").exists, "containerd")
        self.start_engine()
        self._make_image()

    def start_all(self) -> None:
        """Start everything but the containers and the load."""
        at = self.directory
        self.start_docker()
        url = f"docker://{at}/docker.sock"
        if self.consul:
            self.start("consul", "consul", "agent", "-dev", "-log-level=warn")
            until(lambda: self.services() is not None, "consul")
            self.start_register()
            url = "consul://127.0.0.1:8500"
        for name in ("nginx/conf.d", "nginx/tmp"):
            (at / name).mkdir(parents=True)
        (at / "nginx/nginx.conf").write_text(NGINX)
        (at / "web.conf.j2").write_text(TEMPLATE)
        (at / "delay.lua").write_text(WRK)
        reload = f"nginx -p {at}/nginx/ -c {at}/nginx/nginx.conf"
        (at / "ctemplate.toml").write_text(
            f'[catalog.default]\nurl = "{url}"\n'
            + ("internal = true\n" if self.internal and not self.consul else "")
            + "[guard]\nmax_removed = 1.0\n"  # more than half may be killed between two commits
            + f'[[template]]\nsource = "web.conf.j2"\ndestination = "{self.file}"\ncommand = "{reload} -s reload"\n'
        )
        self.start("nginx", *reload.split())
        until((at / "nginx/nginx.pid").exists, "nginx")
        threading.Thread(target=self._watch_file, daemon=True).start()

    def start_ctemplate(self) -> None:
        """Start ctemplate, whose first rendering should find what is there."""
        self.start(
            "ctemplate", CTEMPLATE, "-config", self.directory / "ctemplate.toml", "-state-dir", self.directory / "state"
        )

    def start_load(self, seconds: int) -> None:
        """Let wrk ask nginx, a connection a request."""
        script: list[str | Path] = ["-s", self.directory / "delay.lua"]
        self.start("wrk", "wrk", "-t1", "-c8", f"-d{seconds}s", "--timeout", "10s", *script, "http://127.0.0.1:8080/")

    def load(self) -> tuple[int, int]:
        """Wait for wrk's end and return how many requests were served and how many failed."""
        self._processes["wrk"].wait(600)
        said = (self.directory / "wrk.log").read_text()
        total = re.search(r"(\d+) requests in", said)
        bad = [int(number) for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", said)]
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
        failed = sum(bad) + sum(map(int, errors.groups())) if errors else sum(bad)
        if total is None:
            raise RuntimeError(f"wrk did not run: {said}")
        return int(total[1]) - sum(bad), failed

    def tail(self, file: str) -> list[str]:
        """Return the last lines of a log, notices left out."""
        lines = (self.directory / file).read_text().splitlines()
        return [line for line in lines if "[notice]" not in line][-40:]

    def close(self) -> None:
        """End every process; containers end with the namespaces."""
        for process in reversed(self._processes.values()):
            if process.poll() is None:
                process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- the engine and its containers

    def docker(self, method: str, path: str, body: Any = None, **params: str) -> Any:
        """Ask the engine; None when it does not answer."""
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        return _ask(_Unix(self.directory / "docker.sock"), method, f"{path}?{urllib.parse.urlencode(params)}", content)

    def _make_image(self) -> None:
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            archive.add(Path(shutil.which("busybox") or "").resolve(), "bin/busybox")
            # Empty: busybox writes a body apart from the header, and a container that is killed between the two has
            # answered half. No balancer can ask another one then.
            archive.addfile(tarfile.TarInfo("www/index.html"))
        self.docker("POST", "/images/create", tar.getvalue(), fromSrc="-", repo="web", tag="1")

    def add_container(self) -> str:
        """Start one more container and return its name."""
        self._next += 1
        name = f"w{self._next}"
        host: dict[str, Any] = {} if self.internal else {"PortBindings": {"80/tcp": [self._binding(name)]}}
        body = {
            "Image": "web:1",
            "Cmd": ["/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/www"],
            "Env": ["SERVICE_NAME=web"],
            "ExposedPorts": {"80/tcp": {}},
            "HostConfig": host,
        }
        self.docker("POST", "/containers/create", body, name=name)
        self.docker("POST", f"/containers/{name}/start")
        return name

    def _binding(self, name: str) -> dict[str, str]:
        return {"HostIp": "127.0.0.1", "HostPort": str(2000 + int(name[1:]))}

    def kill_container(self, name: str) -> None:
        """SIGKILL, and its remains removed."""
        self.docker("DELETE", f"/containers/{name}", force="1")

    def containers(self) -> dict[str, str]:
        """Return where each container is reached that runs."""
        found = {}
        for entry in self.docker("GET", "/containers/json") or ():
            name = entry["Names"][0][1:]
            address = f"{entry['NetworkSettings']['Networks']['bridge']['IPAddress']}:80"
            found[name] = address if self.internal else f"127.0.0.1:{self._binding(name)['HostPort']}"
        return found

    def service_id(self, name: str) -> str:
        """Return the id of a container's service."""
        return f"{self.host}:{name}:80"

    # --- what came of it

    def services(self) -> dict[str, Any] | None:
        """Return the services of Consul's agent; None when it does not answer."""
        found: dict[str, Any] | None = _ask(
            http.client.HTTPConnection("127.0.0.1", 8500, timeout=5), "GET", "/v1/agent/services"
        )
        return found

    def registered(self) -> frozenset[str]:
        """Return where the services of Consul's agent are."""
        return frozenset(f"{entry['Address']}:{entry['Port']}" for entry in (self.services() or {}).values())

    def servers(self) -> frozenset[str]:
        """Return the servers that the file holds."""
        with contextlib.suppress(OSError):
            return frozenset(re.findall(r"^    server (\S+);$", self.file.read_text(), re.MULTILINE))
        return frozenset()

    def _watch_file(self) -> None:
        inode, before = 0, frozenset[str]()
        while True:
            with contextlib.suppress(OSError):
                now = self.file.stat().st_ino
                if now != inode:
                    inode, at, servers = now, time.time(), self.servers()
                    if servers != before:
                        self.seen[servers] = at
                        self.sizes.append(len(servers))
                        before = servers
            time.sleep(0.001)


CTEMPLATE = Path(sys.executable).with_name("ctemplate")


def until(holds: Callable[[], Any], what: str, *, seconds: float = 60.0) -> Any:
    """Wait for something, and end the script with a word when it does not come."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.005)
    return found


@contextlib.contextmanager
def world(*, consul: bool, internal: bool) -> Iterator[World]:
    """Make a chain, and end all of it."""
    made = World(consul=consul, internal=internal)
    try:
        made.start_all()
        yield made
    finally:
        made.close()


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("docker", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _ask(connection: http.client.HTTPConnection, method: str, target: str, body: bytes | None = None) -> Any:
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.request(method, target, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        said = response.read()
        if response.status < http.HTTPStatus.BAD_REQUEST:
            return json.loads(said) if said.startswith((b"{", b"[")) and b"\n{" not in said.rstrip() else said
        if response.status != http.HTTPStatus.NOT_FOUND:
            raise RuntimeError(f"{method} {target}: {response.status} {said.decode()}")
    return None
