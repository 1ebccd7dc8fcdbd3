"""Two balancers with keepalived in front, in network namespaces of their own: who has the address, seen by a client.

A switch joins the two; its own address is the client's. Each balancer has an nginx that answers with its name, a
ctemplate that writes its `health_file`, and a keepalived that tracks that file and the nginx.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ADDRESS = "10.77.0.10"
PATIENCE_SECONDS = 3
"""Instead of a minute, but for `make torture`, which waits for the real one."""
CLONE_NEWNET = 0x40000000

PAGE = (Path(__file__).parents[2] / "docs/pipelines.md").read_text()
KEEPALIVED = re.search(r"```\n# /etc/keepalived/keepalived.conf[^\n]*\n(.*?)```", PAGE, re.DOTALL)[1]
"""As the page has it, multicast and all."""
TRACKING = (r"vrrp_track_process nginx \{.*?\n\}\n", r"    track_process \{.*?\n    \}\n")
"""What says nothing where the kernel does not tell of processes."""

# The daemon as it is, less patient.
IMPATIENT = """\
import sys
from ctemplate.cli import main
from ctemplate.engine import health
health.PATIENCE_SECONDS = %r
sys.exit(main())
"""


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(10)


def _renamed(program: Path, link: Path) -> Path:
    """Make `link` a name for a program, and return what starts it under that name."""
    if program.read_bytes()[:2] != b"#!":
        link.symlink_to(program)
        return link
    # tools/get_server.sh starts what it unpacked by a script.
    script = program.read_text()
    unpacked = re.search(r"exec (\S+)", script)[1]
    link.symlink_to(unpacked)
    starter = link.with_name(f"start-{link.name}")
    starter.write_text(script.replace(unpacked, str(link)))
    starter.chmod(0o755)
    return starter


class Network:
    """A switch, and namespaces with names of this process's own that are joined to it."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._made: list[str] = []

    def _ip(self, *arguments: str) -> None:
        subprocess.run([self._program, *arguments], check=True, capture_output=True, text=True, timeout=20)

    def start(self) -> None:
        self.switch = self._space("switch")
        self._ip("-n", self.switch, "link", "add", "br0", "type", "bridge")
        self._ip("-n", self.switch, "addr", "add", "10.77.0.1/24", "dev", "br0")
        self._ip("-n", self.switch, "link", "set", "br0", "up")

    def _space(self, name: str) -> str:
        full = f"ct{os.getpid()}-{name}"
        self._ip("netns", "add", full)
        self._made.append(full)
        self._ip("-n", full, "link", "set", "lo", "up")
        return full

    def join(self, name: str, address: str) -> str:
        """A namespace with one interface on the switch."""
        space = self._space(name)
        self._ip("-n", self.switch, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", space)
        self._ip("-n", self.switch, "link", "set", name, "master", "br0", "up")
        self._ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
        self._ip("-n", space, "link", "set", "eth0", "up")
        return space

    def stop(self) -> None:
        for name in self._made:
            self._ip("netns", "del", name)


def inside(space: str, work):
    """Run `work` in a thread of its own that has entered a namespace; threads end there, so nothing is left in it."""
    result = []

    def run() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/run/netns/{space}").open() as file:
            assert libc.setns(file.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        result.append(work())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return result[0] if result else None


class Balancer:
    """One machine: a namespace, nginx, ctemplate, keepalived."""

    def __init__(
        self, name: str, number: int, *, network: Network, nginx, directory: Path, make_launcher, keepalived: str,
        patience: float,
    ) -> None:  # fmt: skip
        self.name = name
        self.space = network.join(name, f"10.77.0.{number}")
        self.nginx = nginx
        self._enter = ["nsenter", f"--net=/run/netns/{self.space}"]
        self._program = keepalived
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._held: socket.socket | None = None
        self._directory = directory / name
        self._directory.mkdir()
        self.health = self._directory / "health"
        # A process is called like the file it was started from, and each keepalived sees both machines' processes here.
        self._called = f"nginx-{name}"
        self._nginx = _renamed(Path(nginx.binary), self._directory / self._called)
        impatient = self._directory / "impatient.py"
        impatient.write_text(IMPATIENT % patience)
        command = self._directory / "ctemplate"
        command.write_text(f'#!/bin/sh\nexec {" ".join(self._enter)} {sys.executable} {impatient} "$@"\n')
        command.chmod(0o755)
        self._launcher = make_launcher(self._directory)
        self._launcher.command = command

    def start(self, template: Path, *, priority: int) -> None:
        self.start_nginx()
        self.start_ctemplate(template)
        self.ctemplate.wait_for("proof: new workers", timeout=20)
        config = self._directory / "keepalived.conf"
        config.write_text(self._configuration(priority))
        # It enters the namespace by itself, since the kernel tells of processes in the first one alone.
        names = [f"--{which}={self._directory}/{which}" for which in ("pid", "vrrp_pid")]
        self._run(
            "keepalived", self._program, "--dont-fork", "--log-console", "--log-detail", "--vrrp",
            f"--use-file={config}", *names,
        )  # fmt: skip

    def _configuration(self, priority: int) -> str:
        """The page's, in a namespace, and with five advertisements a second to be quick."""
        text = KEEPALIVED
        places = {
            "/run/ctemplate.health": str(self.health),
            "process nginx\n": f"process {self._called}\n",
            "priority 105": f"priority {priority}",
            "192.0.2.10": ADDRESS,
            "virtual_router_id 51": "virtual_router_id 51\n    version 3\n    advert_int 0.2",
        }
        for ours, here in places.items():
            assert ours in text, ours
            text = text.replace(ours, here)
        if not _process_events():
            for part in TRACKING:
                text = re.sub(part, "", text, flags=re.DOTALL)
        return f"net_namespace {self.space}\n{text}"

    def start_ctemplate(self, template: Path) -> None:
        pair = f"{template}:{self.nginx.conf_d / 'site.conf'}:{self.nginx.reload_command}"
        self.ctemplate = self._launcher(
            "-catalog", f"file:{template.parent / 'services.yaml'}", "-health-file", self.health, "-template", pair,
            env={"WHO": self.name},
        )  # fmt: skip

    def _run(self, name: str, *command: str) -> None:
        with (self._directory / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def start_nginx(self) -> None:
        self._run("nginx", *self._enter, str(self._nginx), *self.nginx.command()[1:])

    def stop_nginx(self) -> None:
        end(self._processes["nginx"])

    def break_reloads(self, port: int) -> None:
        """Hold a port that the next configuration is to listen on."""

        def hold() -> socket.socket:
            held = socket.socket()
            held.bind(("127.0.0.1", port))
            held.listen()
            return held

        self._held = inside(self.space, hold)

    def mend(self) -> None:
        assert self._held is not None
        self._held.close()
        self._held = None
        self.ctemplate.send(signal.SIGHUP)  # now, and not at the next retry

    def log(self) -> str:
        return (self._directory / "keepalived.log").read_text(errors="replace")[-1500:]

    def stop(self) -> None:
        if self._held is not None:
            self._held.close()
        for process in reversed(self._processes.values()):
            end(process)


class Pair:
    """Both balancers, and a client that asks whoever has the address."""

    def __init__(self, network: Network, first: Balancer, second: Balancer, template: Path, eventually) -> None:
        self.network, self.first, self.second, self.template = network, first, second, template
        self.eventually = eventually

    def owner(self) -> str:
        """The name of the nginx that answers at the address; empty when none does."""

        def ask() -> str:
            try:
                with socket.create_connection((ADDRESS, 8080), timeout=0.5) as connection:
                    connection.settimeout(0.5)
                    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    return connection.makefile("rb").read().decode().rpartition("\r\n\r\n")[2]
            except OSError:
                return ""

        return inside(self.network.switch, ask)

    def wait_for(self, name: str, timeout: float = 20.0) -> None:
        def owned() -> bool:
            assert self.owner() == name, "".join(b.log() for b in (self.first, self.second))
            return True

        self.eventually(owned, timeout)

    def stays(self, name: str, seconds: float = 1.0) -> None:
        """Five advertisements long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.owner() == name

    def listen_also(self, port: int) -> None:
        """Change both balancers' template."""
        part = self.template.with_suffix(".part")
        part.write_text(self.template.read_text() + f"server {{ listen 127.0.0.1:{port}; }}\n")
        part.rename(self.template)


def _process_events() -> bool:
    """Whether the kernel tells of processes here: it does so in the first network namespace alone (connector)."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 11) as probe:  # NETLINK_CONNECTOR
        probe.bind((0, 1))  # CN_IDX_PROC
        header = (40).to_bytes(4, sys.byteorder) + (3).to_bytes(2, sys.byteorder) + bytes(10)
        operation = (1).to_bytes(4, sys.byteorder)  # PROC_CN_MCAST_LISTEN
        message = (
            b"".join(n.to_bytes(4, sys.byteorder) for n in (1, 1, 0, 0)) + (4).to_bytes(2, sys.byteorder) + bytes(2)
        )
        try:
            probe.send(header + message + operation)
        except OSError:
            return False
    return True


@pytest.fixture
def network(require):
    network = Network(require("ip"))
    try:
        network.start()
    except subprocess.CalledProcessError as error:
        network.stop()
        pytest.skip(f"no network namespaces here: {error.stderr}")
    yield network
    network.stop()


@pytest.fixture
def pair(require, network, make_nginx, make_launcher, tmp_path, eventually, torture):
    """Both running, with the address at blue, which has the higher priority."""
    template = tmp_path / "site.j2"
    template.write_text('server { listen 8080; location / { return 200 {{ env("WHO") }}; } }\n')
    (tmp_path / "services.yaml").write_text("services: {}\n")
    balancers = [
        Balancer(
            name, number, network=network, nginx=make_nginx(workers=1), directory=tmp_path, make_launcher=make_launcher,
            keepalived=require("keepalived"), patience=60.0 if torture else PATIENCE_SECONDS,
        )
        for name, number in (("blue", 2), ("green", 3))
    ]  # fmt: skip
    pair = Pair(network, *balancers, template, eventually)
    try:
        for balancer, priority in zip(balancers, (105, 100), strict=True):
            balancer.start(template, priority=priority)
        pair.wait_for("blue")
        yield pair
    finally:
        for balancer in balancers:
            balancer.stop()


@pytest.mark.torture
def test_the_address_stays_when_both_break_and_leaves_the_one_that_is_broken_alone(pair, free_port, torture):
    blue, green, port = pair.first, pair.second, free_port()
    assert blue.health.read_bytes() == green.health.read_bytes() == b"0\n"
    for balancer in (blue, green):
        balancer.break_reloads(port)
    pair.listen_also(port)
    for balancer in (blue, green):
        balancer.ctemplate.wait_for("health says 1", timeout=90)
        assert balancer.health.read_bytes() == b"1\n"
    pair.wait_for("blue")  # green may have had it between the two
    pair.stays("blue")

    green.mend()
    green.ctemplate.wait_for("health says 0", timeout=20)
    pair.wait_for("green")
    if torture:  # a restart forgets nothing
        assert blue.ctemplate.stop() == 0
        assert blue.health.read_bytes() == b"1\n"
        blue.start_ctemplate(pair.template)
        blue.ctemplate.wait_for("rolled back", timeout=20)
    pair.stays("green")
    blue.mend()
    blue.ctemplate.wait_for("health says 0", timeout=20)
    pair.wait_for("blue")


def test_the_address_follows_nginx_and_does_not_care_for_a_stopped_ctemplate(pair):
    blue = pair.first
    assert blue.ctemplate.stop() == 0
    assert blue.health.read_bytes() == b"0\n"
    pair.stays("blue")
    if not _process_events():
        pytest.skip("the kernel tells of processes in the first network namespace alone: track_process sees nothing")
    blue.stop_nginx()
    pair.wait_for("green")
    blue.start_nginx()
    pair.wait_for("blue")


def test_a_balancer_that_is_cut_off_from_its_catalog_is_ill_where_max_age_says_so(make_consul, ctemplate, tmp_path):
    health = tmp_path / "health"
    consul = make_consul(data_dir=True)
    consul.register("web", port=8001)
    (tmp_path / "t.j2").write_text("{{ service('web') | length }}")
    where = ["-consul-addr", consul.address, "-template", "t.j2:out"]
    running = ctemplate(*where, "-health-file", health, "-max-age", "3s")
    running.wait_for("committed")
    consul.kill()
    running.wait_for("health says 1", timeout=30)
    assert health.read_bytes() == b"1\n"
    consul.start()
    running.wait_for("health says 0", timeout=60)
