"""Ten thousand services while fifty of them change each second, for a minute: their health, then their ports.

How old a change is when the file has it: each changes to something that no other does.

    python benchmarks/storm.py [SECONDS]
"""

from __future__ import annotations

import re
import sys
import threading
import time

from ground import LIST_ALL, Agent, Catalog, Follower, Ground, report

RATE = 50.0
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
        if time.perf_counter() - began > seconds + 60:
            raise TimeoutError(f"{len(pending)} changes never came to the file")
        time.sleep(0.01)
    took = time.perf_counter() - began
    ages.sort()
    return {
        "changes": count, "oldest_s": round(ages[-1], 2), "p50_s": round(ages[len(ages) // 2], 2),
        "core_percent": round((follower.cpu() - cpu) / took * 100, 1),
        "agent_core_percent": round((sum(agent.process.cpu_times()[:2]) - agents) / took * 100, 1),
    }  # fmt: skip


with Ground() as ground:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    agent = ground.consul()
    catalog = agent.fill(10000)
    template = LIST_ALL.replace("{{ s.name }}", "{{ i.id }}; # {{ s.name }}")
    follower = ground.ctemplate(agent, template, "-log-level", "warning")
    follower.first_file(50000)
    time.sleep(3)
    figures = {
        name: storm(agent, catalog, follower, seconds=seconds, health=health)
        for name, health in (("health", True), ("port", False))
    }
    said = "; ".join(
        f"50 {name} changes a second: oldest {f['oldest_s']} s, {f['core_percent']} % of a core, "
        f"the agent {f['agent_core_percent']} %"
        for name, f in figures.items()
    )
    report("storm", figures, f"10,000 services, {seconds:.0f} s each, {said}")
