"""50 containers of 20 ports, 1,000 services, in one template: first file, change → file, CPU a change, memory.

A change starts or kills one container of 20 services, and is timed from the moment the engine answered. The engine runs
in namespaces of its own, for which this needs root. Prints one JSON line, as `other_catalogs.py` does.

    python benchmarks/docker.py
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from follower import Follower, wait_until
from ground import LIST_ALL

sys.path.insert(0, str(Path(__file__).parents[1] / "demo"))
from world import CTEMPLATE, World, go_inside, missing

CONTAINERS, PORTS = 50, 20
CHANGES = 20
PAUSE_SECONDS = 1.0
"""Between changes: the cost of one is measured, not what a rate limit makes of many."""


def start(world: World, number: int) -> None:
    """Start a container that has `PORTS` services of its own; nothing listens, nobody asks."""
    name = f"c{number}"
    body: dict[str, Any] = {
        "Image": "web:1",
        "Cmd": ["/bin/busybox", "sleep", "3600"],
        "Env": [f"SERVICE_{port}_NAME=s{number}-{port}" for port in range(1, PORTS + 1)],
        "ExposedPorts": {f"{port}/tcp": {} for port in range(1, PORTS + 1)},
    }
    world.docker("POST", "/containers/create", body, name=name)
    world.docker("POST", f"/containers/{name}/start")


def measure(world: World) -> dict[str, object]:
    """Return the figures."""
    world.start_docker()
    for number in range(CONTAINERS):
        start(world, number)
    out = world.directory / "out.conf"
    (world.directory / "all.j2").write_text(LIST_ALL)
    (world.directory / "ctemplate.toml").write_text(
        f'[catalog.default]\nurl = "docker://{world.directory}/docker.sock"\ninternal = true\n'
        "[guard]\nmin_instances = 0\nmax_removed = 1.0\n"  # whole services end here, and are meant to
        f'[[template]]\nsource = "all.j2"\ndestination = "{out}"\n'
    )
    began = time.perf_counter()
    command = [CTEMPLATE, "-config", world.directory / "ctemplate.toml", "-state-dir", world.directory / "state"]
    follower = Follower("ctemplate", psutil.Process(world.start("ctemplate", *command).pid), out, began)
    first = follower.first_file(CONTAINERS * PORTS)
    time.sleep(2)  # what follows the first file is not a change
    before = follower.cpu()
    took = []
    for change in range(CHANGES):
        number = CONTAINERS + change // 2
        added = not change % 2
        if added:
            start(world, number)
        else:
            world.kill_container(f"c{number}")
        asked = time.perf_counter()
        mark = f"# s{number}-{PORTS}\n".encode()
        wait_until(lambda mark=mark, added=added: (mark in out.read_bytes()) == added, what=f"change {change}")
        took.append(time.perf_counter() - asked)
        time.sleep(PAUSE_SECONDS)
    took.sort()
    return {
        "catalog": "docker",
        "first_file_s": round(first, 2),
        "change_p50_ms": round(statistics.median(took) * 1e3, 1),
        "change_p90_ms": round(took[len(took) * 9 // 10] * 1e3, 1),
        "cpu_ms_a_change": round((follower.cpu() - before) / CHANGES * 1e3, 1),
        "memory_mb": follower.resident_mb(),
        "sockets": len([c for c in follower.process.net_connections("unix") if c.raddr or c.fd > 2]),
    }


if __name__ == "__main__":
    if lacks := missing(consul=False):
        sys.exit("this machine lacks:\n" + "\n".join(lacks))
    go_inside()
    made = World(consul=False, internal=True)
    try:
        print(json.dumps(measure(made)), flush=True)
    finally:
        made.close()
