"""Ten thousand services while fifty of them change each second, for a minute: their health, then their ports.

How old a change is when the file has it: each changes to something that no other does. consul-template, where it is on
PATH, does the same against an agent that allows it a connection a service.

    python benchmarks/storm.py [SECONDS]
"""

from __future__ import annotations

import re
import sys
import threading
import time

from every_service import GO_LIST_ALL
from follower import Follower
from ground import LIST_ALL, Agent, Catalog, Ground, report

RATE = 50.0
ID, GO_ID = ("{{ s.name }}", "{{ i.id }}; # {{ s.name }}"), ("{{.Name}}", "{{.ID}}; # {{.Name}}")
"""What is put into the line of an instance in the two languages, so that each is told apart."""
PATIENCE_SECONDS = 60.0
"""After the last change; what is not in the file by then is not waited for."""
LINE = re.compile(rb"server [0-9.]+:([0-9]+); # ([^;]+);")


def storm(agent: Agent, catalog: Catalog, follower: Follower, *, seconds: float, health: bool) -> dict[str, float]:
    """Make the changes in a thread of its own, and look when each shows."""
    pending: dict[bytes, tuple[float, bytes | None]] = {}
    """Instance → when it changed, and the port that its line has from then on; None: it has no line."""
    lock = threading.Lock()
    count = int(RATE * seconds)

    def change() -> None:
        began = time.perf_counter()
        for number in range(count):
            time.sleep(max(0.0, began + number / RATE - time.perf_counter()))
            service = number * 7 % catalog.services
            instance = 2 if health else 3  # what is critical is in no file, whatever its port
            id, node = f"s{service}-{instance}", catalog.node(service, instance)
            if health:
                agent.set_status(id, "critical", node=node)
            else:
                agent.register(f"s{service}", id=id, node=node, port=20000 + number)
            with lock:
                pending[id.encode()] = time.perf_counter(), None if health else str(20000 + number).encode()

    cpu, agents, began = follower.cpu(), sum(agent.process.cpu_times()[:2]), time.perf_counter()
    thread = threading.Thread(target=change)
    thread.start()
    ages: list[float] = []
    seen = 0
    while thread.is_alive() or pending:
        stamp = follower.out.stat().st_mtime_ns
        if stamp != seen:
            seen, text, now = stamp, follower.out.read_bytes(), time.perf_counter()
            ports = {id: port for port, id in LINE.findall(text)}
            with lock:
                done = [id for id, (_, port) in pending.items() if ports.get(id) == port]
                ages += [max(0.0, now - pending.pop(id)[0]) for id in done]
        if time.perf_counter() - began > seconds + PATIENCE_SECONDS:
            break
        time.sleep(0.01)
    took, never = time.perf_counter() - began, len(pending)
    ages = sorted(ages + [time.perf_counter() - at for at, _ in pending.values()])
    return {
        "changes": count, "never_seen": never, "oldest_s": round(ages[-1], 2), "p50_s": round(ages[len(ages) // 2], 2),
        "core_percent": round((follower.cpu() - cpu) / took * 100, 1),
        "agent_core_percent": round((sum(agent.process.cpu_times()[:2]) - agents) / took * 100, 1),
    }  # fmt: skip


def storms(agent: Agent, catalog: Catalog, follower: Follower, *, seconds: float) -> dict[str, dict[str, float]]:
    """One of health, then one of ports, once the first file is there."""
    follower.first_file(catalog.services * catalog.instances)
    time.sleep(3)
    return {
        name: storm(agent, catalog, follower, seconds=seconds, health=health)
        for name, health in (("health", True), ("port", False))
    }


def sentence_of(figures: dict[str, dict[str, float]]) -> str:
    """What was measured of a program, to read."""
    return "; ".join(
        f"50 {name} changes a second: oldest {f['oldest_s']} s, {f['core_percent']} % of a core, "
        f"the agent {f['agent_core_percent']} %" + (f", {f['never_seen']} never seen" if f["never_seen"] else "")
        for name, f in figures.items()
    )


with Ground() as ground:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    agent = ground.consul()
    catalog = agent.fill(10000)
    follower = ground.ctemplate(agent, LIST_ALL.replace(*ID), "-log-level", "warning")
    ours = storms(agent, catalog, follower, seconds=seconds)
    if any(f["never_seen"] for f in ours.values()):
        sys.exit(f"changes never came to the file: {ours}")
    said = f"10,000 services, {seconds:.0f} s each, {sentence_of(ours)}"
    go = None
    if ground.has_consul_template():
        follower.stop()
        agent = ground.consul(connections=11000)
        agent.fill(10000)
        go = storms(agent, catalog, ground.consul_template(agent, GO_LIST_ALL.replace(*GO_ID)), seconds=seconds)
        said += f"; consul-template: {sentence_of(go)}"
    report("storm", {**ours, "consul_template": go}, said)
