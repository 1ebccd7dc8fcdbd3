"""Real servers for the tests: Consul, nginx, Docker and HTTP back ends on free ports, and the installed `ctemplate`.

Each is ended by the process id that was started here. A server that is not on this machine skips the
test at home, and fails it where `CTEMPLATE_REQUIRE_SERVERS` is set (`make test`, CI).
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from dockerd import Docker
from standstill import pause

ROOT = Path(__file__).parents[2]
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", str(ROOT / ".cache/servers/bin")])
STOP_SECONDS = 25.0

Eventually = Callable[..., Any]
FreePort = Callable[[], int]


def _require(program: str) -> str:
    """Return the absolute path of a program: on PATH, in the sbin directories, or as tools/get_server.sh left it."""
    found = shutil.which(program, path=SEARCH)
    if found:
        return found
    message = f"{program} is not on this machine: tools/get_server.sh {program} fetches it, or install its package"
    if os.environ.get("CTEMPLATE_REQUIRE_SERVERS"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def require() -> Callable[[str], str]:
    """`require(program)`: its absolute path, or the end of the test."""
    return _require


def end(process: subprocess.Popen[Any], how: signal.Signals = signal.SIGTERM) -> int:
    """End a process that was started here, at the latest with SIGKILL, and return its exit code."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(STOP_SECONDS)


# --- Consul ---------------------------------------------------------------------------------------


class Consul:
    """One Consul agent, a server of its own. Its ports stay the same over `kill()` and `start()`."""

    def __init__(
        self,
        binary: str,
        directory: Path,
        *,
        free_port: FreePort,
        eventually: Eventually,
        data_dir: bool = False,
        config: Mapping[str, Any] | None = None,
        token: str = "",
        node: str = "agent",
        serf_ports: Sequence[int] = (),
    ) -> None:
        """`serf_ports`: of all servers of a cluster, this one's first."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.log = directory / "consul.log"
        self.node = node
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"
        self.token = token
        self._eventually = eventually
        self._process: subprocess.Popen[bytes] | None = None
        ports = {"dns": -1, "grpc": -1, "http": self.port}
        ports |= {name: free_port() for name in ("serf_lan", "serf_wan", "server")}
        if serf_ports:
            ports["serf_lan"] = serf_ports[0]
        self.raft_address = f"127.0.0.1:{ports['server']}"
        merged: dict[str, Any] = {
            "node_name": self.node,
            "bind_addr": "127.0.0.1",
            "ports": ports,
            "log_level": "warn",
            "disable_update_check": True,
            "performance": {"raft_multiplier": 1},
        }
        mode = ["-dev"]
        if data_dir:
            merged |= {"server": True, "bootstrap": True, "data_dir": str(directory / "data")}
            mode = []
        if serf_ports:
            del merged["bootstrap"]
            merged |= {"bootstrap_expect": len(serf_ports), "retry_interval": "1s"}
            merged["retry_join"] = [f"127.0.0.1:{port}" for port in serf_ports]
        (directory / "consul.json").write_text(json.dumps({**merged, **(config or {})}))
        self._command = [binary, "agent", *mode, f"-config-file={directory / 'consul.json'}"]

    @property
    def pid(self) -> int:
        assert self._process is not None, "Consul is not running"
        return self._process.pid

    def start(self) -> None:
        """Start the agent and wait until it has a leader and knows its own node."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start the agent."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT, cwd=self.directory)

    def wait_until_ready(self) -> None:
        self._eventually(self._is_ready, 30)

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"Consul ended with {self._process.returncode}:\n{self.log.read_text()[-2000:]}")
        with contextlib.suppress(httpx.HTTPError):
            leader = httpx.get(f"{self.url}/v1/status/leader", trust_env=False)
            nodes = httpx.get(f"{self.url}/v1/catalog/nodes", headers=self._headers(), trust_env=False)
            return leader.status_code == nodes.status_code == 200 and leader.json() != "" and nodes.json() != []
        return False

    def stop(self) -> None:
        """End the agent with SIGTERM."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def kill(self) -> None:
        """SIGKILL, as a power failure would."""
        assert self._process is not None, "Consul is not running"
        self._process.kill()
        self._process.wait(STOP_SECONDS)
        self._process = None

    def pause(self) -> None:
        """Stop the agent where it stands: connections stay open and nothing answers."""
        pause(self.pid)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _headers(self) -> dict[str, str]:
        return {"X-Consul-Token": self.token} if self.token else {}

    def request(self, method: str, path: str, body: Any = None, **params: str) -> httpx.Response:
        """One request with a connection of its own; a str or bytes body goes as it is, anything else as JSON."""
        content = body if isinstance(body, str | bytes | None) else json.dumps(body)
        response = httpx.request(
            method, self.url + path, content=content, params=params or None, headers=self._headers(), trust_env=False
        )
        response.raise_for_status()
        return response

    def get(self, path: str, **params: str) -> Any:
        return self.request("GET", path, **params).json()

    def put(self, path: str, body: Any = None, **params: str) -> Any:
        response = self.request("PUT", path, body, **params)
        return response.json() if response.content else None

    def register(
        self,
        name: str,
        *,
        id: str = "",  # Consul's own word
        port: int = 0,
        address: str = "",
        node: str = "node-1",
        node_address: str = "127.0.0.1",
        tags: Sequence[str] = (),
        meta: Mapping[str, str] | None = None,
        weight: int = 1,
        status: str | None = None,
        node_status: str | None = None,
    ) -> None:
        """Write one instance into the catalog, with a check of its own or of its node where a status is given."""
        service_id = id or name
        checks = []
        if status is not None:
            own = {"CheckID": f"service:{service_id}", "ServiceID": service_id}
            checks.append({"Node": node, "Name": "own check", "Status": status, **own})
        if node_status is not None:
            checks.append({"Node": node, "CheckID": "node", "Name": "node check", "Status": node_status})
        service = {"Service": name, "ID": service_id, "Port": port, "Address": address, "Tags": list(tags)}
        service |= {"Meta": dict(meta or {}), "Weights": {"Passing": weight, "Warning": 1}}
        entry = {"Node": node, "Address": node_address, "Service": service}
        self.put("/v1/catalog/register", {**entry, "Checks": checks} if checks else entry)

    def set_status(self, service_id: str, status: str, *, node: str = "node-1", output: str = "") -> None:
        """Set the check of an instance that `register` wrote: passing, warning or critical."""
        check = {"Node": node, "CheckID": f"service:{service_id}", "Name": "own check", "Status": status}
        body = {"Node": node, "SkipNodeUpdate": True, "Check": {**check, "ServiceID": service_id, "Output": output}}
        self.put("/v1/catalog/register", body)

    def set_node_status(self, status: str, *, node: str = "node-1") -> None:
        check = {"Node": node, "CheckID": "node", "Name": "node check", "Status": status}
        self.put("/v1/catalog/register", {"Node": node, "SkipNodeUpdate": True, "Check": check})

    def remove_check(self, check_id: str, *, node: str = "node-1") -> None:
        self.put("/v1/catalog/deregister", {"Node": node, "CheckID": check_id})

    def deregister(self, service_id: str, *, node: str = "node-1") -> None:
        self.put("/v1/catalog/deregister", {"Node": node, "ServiceID": service_id})

    def deregister_node(self, node: str = "node-1") -> None:
        self.put("/v1/catalog/deregister", {"Node": node})

    def register_local(
        self, name: str, *, id: str = "", port: int = 0, address: str = "127.0.0.1", tags: Sequence[str] = ()
    ) -> None:
        """Register with the agent itself, with a TTL check that passes: for `check` and `maintenance`."""
        service_id = id or name
        service = {"Name": name, "ID": service_id, "Port": port, "Address": address, "Tags": list(tags)}
        self.put("/v1/agent/service/register", {**service, "Check": {"TTL": "1h", "Status": "passing"}})

    def check(self, service_id: str, status: str) -> None:
        """Set the TTL check of an instance that `register_local` wrote: pass, warn or fail."""
        self.put(f"/v1/agent/check/{status}/service:{service_id}")

    def deregister_local(self, service_id: str) -> None:
        self.put(f"/v1/agent/service/deregister/{service_id}")

    def maintenance(self, *, enable: bool, service_id: str = "") -> None:
        """Of one local instance, or of the agent's whole node."""
        path = f"/v1/agent/service/maintenance/{service_id}" if service_id else "/v1/agent/maintenance"
        self.put(path, enable=str(enable).lower(), reason="a test")

    def kv_put(self, key: str, value: str) -> None:
        self.put(f"/v1/kv/{key}", value)

    def kv_delete(self, key: str, *, recurse: bool = False) -> None:
        self.request("DELETE", f"/v1/kv/{key}", **({"recurse": ""} if recurse else {}))

    def clear(self) -> None:
        """Leave nothing behind for the next test."""
        self.maintenance(enable=False)
        for service_id in self.get("/v1/agent/services"):
            self.deregister_local(service_id)
        for node in self.get("/v1/catalog/nodes"):
            if node["Node"] != self.node:
                self.deregister_node(node["Node"])
        self.kv_delete("", recurse=True)


@pytest.fixture(scope="session")
def consul_binary() -> str:
    return _require("consul")


@pytest.fixture(scope="session")
def new_consul(consul_binary: str, free_port: FreePort, eventually: Eventually) -> Callable[..., Consul]:
    """`new_consul(directory, data_dir=False, config=None, token="")`: whoever starts it ends it."""
    return functools.partial(Consul, consul_binary, free_port=free_port, eventually=eventually)


@pytest.fixture(scope="session")
def _consul_agent(new_consul: Callable[..., Consul], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consul]:
    agent = new_consul(tmp_path_factory.mktemp("consul"))
    try:
        agent.start()
        yield agent
    finally:
        agent.stop()


@pytest.fixture
def consul(_consul_agent: Consul) -> Iterator[Consul]:
    """The agent that all tests share, empty. A test that kills it takes `make_consul`."""
    yield _consul_agent
    _consul_agent.clear()


@pytest.fixture
def make_consul(new_consul: Callable[..., Consul], tmp_path: Path) -> Iterator[Callable[..., Consul]]:
    """`make_consul(data_dir=False, config=None, token="")`: a started agent of the test's own; ended after it.

    With ACLs in `config` it needs the management token: without one the agent's node cannot be seen.
    """
    agents: list[Consul] = []

    def make(*, data_dir: bool = False, config: Mapping[str, Any] | None = None, token: str = "") -> Consul:
        directory = tmp_path / f"consul-{len(agents)}"
        agent = new_consul(directory, data_dir=data_dir, config=config, token=token)
        agents.append(agent)
        agent.start()
        return agent

    yield make
    for agent in agents:
        agent.stop()


@pytest.fixture
def consul_servers(
    consul_binary: str, tmp_path: Path, free_port: FreePort, eventually: Eventually
) -> Iterator[tuple[Consul, ...]]:
    """Three servers that are one cluster, with data directories; each may be killed and started again."""
    ports = [free_port() for _ in range(3)]
    servers = tuple(
        Consul(
            consul_binary, tmp_path / f"server-{n}", free_port=free_port, eventually=eventually, data_dir=True,
            node=f"server-{n}", serf_ports=ports[n:] + ports[:n],
        )
        for n in range(3)
    )  # fmt: skip
    try:
        for server in servers:
            server.launch()
        for server in servers:
            server.wait_until_ready()
        yield servers
    finally:
        for server in servers:
            server.stop()


# --- nginx ----------------------------------------------------------------------------------------


NGINX_CONF = """\
{main}
daemon {daemon};
worker_processes {workers};
pid logs/nginx.pid;
error_log logs/error.log notice;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
    {http}
    include conf.d/*.conf;
}}
"""


class Nginx:
    """A real nginx with a prefix of its own. What it serves stands in `conf_d`, and is to listen on `port`."""

    def __init__(
        self, binary: str, prefix: Path, *, port: int, eventually: Eventually, daemon: bool, workers: int, main: str,
        http: str,
    ) -> None:  # fmt: skip
        self.binary = binary
        self.prefix = prefix
        self.port = port
        self.conf = prefix / "nginx.conf"
        self.conf_d = prefix / "conf.d"
        self.pid_file = prefix / "logs/nginx.pid"
        self._eventually = eventually
        self._daemon = daemon
        self._process: subprocess.Popen[bytes] | None = None
        for directory in (self.conf_d, prefix / "logs", prefix / "tmp"):
            directory.mkdir(parents=True)
        # Its workers would run as nobody, who cannot enter a test's directory.
        main = ("user root root;\n" if os.geteuid() == 0 else "") + main
        switch = "on" if daemon else "off"
        self.conf.write_text(NGINX_CONF.format(main=main, daemon=switch, workers=workers, http=http))

    def command(self, *arguments: str) -> list[str]:
        return [self.binary, "-p", str(self.prefix), "-c", str(self.conf), *arguments]

    @property
    def reload_command(self) -> str:
        return " ".join(self.command("-s", "reload"))

    def start(self) -> None:
        """Start nginx and wait for its workers."""
        with (self.prefix / "logs/stderr.log").open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        if self._daemon:
            assert self._process.wait(STOP_SECONDS) == 0, (self.prefix / "logs/stderr.log").read_text()
        self._eventually(self._is_ready)

    def _is_ready(self) -> bool:
        if not self._daemon and self._process is not None and self._process.poll() is not None:
            pytest.fail(f"nginx ended with {self._process.returncode}:\n{self.log_text()}")
        return self.running and bool(self.workers())

    @property
    def pid(self) -> int:
        """Of the master; 0 when there is none."""
        with contextlib.suppress(OSError, ValueError):
            return int(self.pid_file.read_text())
        return 0

    @property
    def running(self) -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            return self.pid != 0 and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        return False

    def workers(self) -> frozenset[int]:
        """Process ids of the workers that take requests: not those that are shutting down."""
        found = set()
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.pid).children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    if " ".join(child.cmdline()).strip() == "nginx: worker process":
                        found.add(child.pid)
        return frozenset(found)

    def log_text(self) -> str:
        texts = [(self.prefix / "logs" / name) for name in ("stderr.log", "error.log")]
        return "".join(text.read_text() for text in texts if text.exists())

    def test(self) -> subprocess.CompletedProcess[str]:
        """`nginx -t`."""
        return subprocess.run(self.command("-t"), capture_output=True, text=True, timeout=30)

    def get(self, path: str = "/", *, host: str = "localhost", port: int | None = None) -> tuple[int, str]:
        """Status and body of one request, over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Host": host, "Connection": "close"})
            response = connection.getresponse()
            return response.status, response.read().decode()

    def stop(self) -> None:
        """SIGTERM to the master."""
        if self._daemon:
            with contextlib.suppress(ProcessLookupError):
                if self.pid:
                    os.kill(self.pid, signal.SIGTERM)
                    self._eventually(lambda: not self.running)
        elif self._process is not None:
            end(self._process)
        self._process = None


@pytest.fixture(scope="session")
def nginx_binary() -> str:
    return _require("nginx")


@pytest.fixture
def make_nginx(
    nginx_binary: str, tmp_path: Path, free_port: FreePort, eventually: Eventually
) -> Iterator[Callable[..., Nginx]]:
    """`make_nginx(daemon=False, workers=2, main="", http="")`: not started, `conf_d` empty; ended after the test."""
    made: list[Nginx] = []

    def make(*, daemon: bool = False, workers: int = 2, main: str = "", http: str = "") -> Nginx:
        server = Nginx(
            nginx_binary, tmp_path / f"nginx-{len(made)}", port=free_port(), eventually=eventually, daemon=daemon,
            workers=workers, main=main, http=http,
        )  # fmt: skip
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()


@pytest.fixture(scope="session")
def haproxy_binary() -> str:
    return _require("haproxy")


# --- HTTP back ends -------------------------------------------------------------------------------


class Backend:
    """A tiny HTTP server that answers every request with its name."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.hits = 0
        backend = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                backend.hits += 1
                body = backend.name.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = int(self._server.server_address[1])
        self.address = f"127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def make_backend() -> Iterator[Callable[..., Backend]]:
    """`make_backend(name, port=0)`: a started back end; ended after the test."""
    made: list[Backend] = []

    def make(name: str, *, port: int = 0) -> Backend:
        made.append(Backend(name, port))
        return made[-1]

    yield make
    for server in made:
        server.stop()


# --- Docker ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _docker_engine(eventually: Eventually) -> Iterator[Docker]:
    if os.geteuid() != 0:
        pytest.skip("a Docker engine can only be started by root")
    engine = Docker(_require("dockerd"), _require("busybox"), search=SEARCH, eventually=eventually)
    try:
        engine.start()
        engine.make_images()
        yield engine
    finally:
        engine.close()


@pytest.fixture
def docker(_docker_engine: Docker) -> Iterator[Docker]:
    """The engine that all tests share, without containers, whatever a test did to it."""
    yield _docker_engine
    _docker_engine.clear()


# --- ctemplate ------------------------------------------------------------------------------------


@dataclass
class Running:
    """A `ctemplate` process and the lines that it wrote to stderr."""

    process: subprocess.Popen[str]
    eventually: Eventually
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            self.lines.extend(line.rstrip("\n") for line in stderr)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def mark(self) -> int:
        """Where the log stands now, for `wait_for(…, since=)`."""
        return len(self.lines)

    def wait_for(self, text: str, *, timeout: float = 25.0, since: int = 0) -> str:
        """Wait for a log line that holds the text and return it; the log is shown when it does not come."""

        def find() -> str | None:
            found = next((line for line in self.lines[since:] if text in line), None)
            if found is None and self.process.poll() is not None and not self._reader.is_alive():
                pytest.fail(f"ctemplate ended with {self.process.returncode} before it said {text!r}:\n{self.text}")
            assert found is not None, f"no line with {text!r} in:\n{self.text}"
            return found

        return str(self.eventually(find, timeout))

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, *, timeout: float = 30.0) -> int:
        """Wait for its end and return the exit code."""
        code = self.process.wait(timeout)
        self._reader.join(STOP_SECONDS)
        return code

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and return its exit code."""
        code = end(self.process, how)
        self._reader.join(STOP_SECONDS)
        return code

    def kill(self) -> None:
        """SIGKILL, as the kernel's out-of-memory killer would."""
        self.stop(signal.SIGKILL)


@dataclass(frozen=True)
class Finished:
    """A `ctemplate` that ran to its end."""

    code: int
    out: str
    err: str


class Launcher:
    """Starts the installed `ctemplate` with a state directory of its own and without the caller's Consul settings."""

    def __init__(self, directory: Path, eventually: Eventually) -> None:
        self.directory = directory
        self.state_dir = directory / "state"
        self.started: list[Running] = []
        self.prefix: tuple[str, ...] = ()
        """What it is run by, such as `unshare`."""
        self._eventually = eventually
        self.command = Path(sys.executable).with_name("ctemplate")

    def _prepare(self, arguments: Sequence[str], env: Mapping[str, str] | None) -> dict[str, Any]:
        words = [str(word) for word in arguments]
        has_state = words[:1] != ["register"]
        if has_state and not any(word.lstrip("-").split("=")[0] == "state-dir" for word in words):
            words += ["-state-dir", str(self.state_dir)]
        foreign = ("CONSUL_", "XDG_", "NOTIFY_SOCKET", "STATE_DIRECTORY", "WATCHDOG_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        # Not in the source tree: `python -m` and relative imports would find it there instead of the wheel.
        return {
            "args": [*self.prefix, str(self.command), *words],
            "env": {**inherited, **(env or {})},
            "cwd": self.directory,
        }

    def __call__(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Running:
        """Start it as a daemon."""
        how = self._prepare([str(argument) for argument in arguments], env)
        process = subprocess.Popen(**how, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        running = Running(process, self._eventually)
        self.started.append(running)
        return running

    def run(self, *arguments: str | Path, env: Mapping[str, str] | None = None, timeout: float = 30.0) -> Finished:
        """Run it to its end: `-once`, `-dry`, `status`, `-version`."""
        how = self._prepare([str(argument) for argument in arguments], env)
        done = subprocess.run(**how, capture_output=True, text=True, timeout=timeout)
        return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def namespaced() -> Callable[[str], tuple[str, ...]]:
    """`namespaced(setup)`: what to run a command by, for network and mounts of its own after `setup` in a shell."""
    if os.geteuid() != 0:
        pytest.skip("only root may make namespaces")
    _require("ip")

    def prefix(setup: str) -> tuple[str, ...]:
        script = f'ip link set lo up && {setup} && exec "$@"'
        return ("unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script, "sh")

    return prefix


@pytest.fixture
def make_launcher(eventually: Eventually) -> Iterator[Callable[[Path], Launcher]]:
    """`make_launcher(directory)`: what `ctemplate` is, once for each of several machines; ended after the test."""
    made: list[Launcher] = []

    def make(directory: Path) -> Launcher:
        made.append(Launcher(directory, eventually))
        return made[-1]

    yield make
    for launcher in made:
        for running in launcher.started:
            running.stop()


@pytest.fixture
def ctemplate(tmp_path: Path, make_launcher: Callable[[Path], Launcher]) -> Launcher:
    """`ctemplate(*arguments, env=None)` starts a daemon, `ctemplate.run(…)` runs to the end; ended after the test."""
    return make_launcher(tmp_path)
