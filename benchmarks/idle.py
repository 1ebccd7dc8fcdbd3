"""Ten thousand services and nothing changes: what following them costs.

consul-template's polls, where it is on PATH, are a connection each, which its agent is told to allow.

    python benchmarks/idle.py [SECONDS]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from every_service import GO_LIST_ALL
from follower import Follower
from ground import LIST_ALL, Ground, report


def wakes(pid: int) -> int:
    """How often any of its threads slept until something woke it: a process's own figure is its main thread's."""
    said = [line for task in Path(f"/proc/{pid}/task").iterdir() for line in (task / "status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in said if line.startswith("voluntary_ctxt_switches"))


def idle(follower: Follower, seconds: float) -> dict[str, float]:
    """What it costs from ten seconds after its first file on."""
    follower.first_file(50000)
    time.sleep(10)
    cpu, woken = follower.cpu(), wakes(follower.process.pid)
    time.sleep(seconds)
    return {
        "core_percent": round((follower.cpu() - cpu) / seconds * 100, 3),
        "wakes_a_second": round((wakes(follower.process.pid) - woken) / seconds, 2),
        "resident_mb": follower.resident_mb(),
        "sockets": follower.sockets(),
    }


def sentence_of(figures: dict[str, float]) -> str:
    """In words."""
    return (
        f"{figures['core_percent']} % of a core, {figures['wakes_a_second']} wakes a second, "
        f"{figures['resident_mb']} MB, {figures['sockets']} sockets"
    )


with Ground() as ground:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 90.0
    agent = ground.consul()
    agent.fill(10000)
    follower = ground.ctemplate(agent, LIST_ALL)
    ours, go = idle(follower, seconds), None
    said = f"10,000 services, nothing changes for {seconds:.0f} s: {sentence_of(ours)}"
    if ground.has_consul_template():
        follower.stop()
        agent = ground.consul(connections=11000)
        agent.fill(10000)
        go = idle(ground.consul_template(agent, GO_LIST_ALL), seconds)
        said += f"; consul-template: {sentence_of(go)}"
    report("idle", {**ours, "consul_template": go}, said)
