"""One service, one template, no command: a change in Consul until the file holds it, beside the bare loop.

Two at a time watch the same service of the same agent and write a file each: ctemplate and the bare loop, then,
where it is on PATH, ctemplate and consul-template. A change is timed from the moment `PUT /v1/catalog/register`
was answered until the file holds it; each of the three syncs the file before that.

    python benchmarks/one_service.py [CHANGES]
"""

from __future__ import annotations

import itertools
import sys
import time
from typing import Any

from follower import Follower, Times, wait_until
from ground import HERE, Agent, Ground, report

PAUSE_SECONDS = 0.22
"""Between changes: a watch is read ten times a second at most, and what is measured is one change."""
TEMPLATE = '{% for i in service("web") %}server {{ i.endpoint }};\n{% endfor %}'
GO_TEMPLATE = '{{range service "web"}}server {{.Address}}:{{.Port}};\n{{end}}'

ports = itertools.count(2000)


def bare_loop(ground: Ground, agent: Agent) -> Follower:
    """Start the floor."""
    out, began = ground.path / "floor.conf", time.perf_counter()
    process = ground.start(sys.executable, HERE / "bare_loop.py", "127.0.0.1", agent.port, "web", out)
    return Follower("floor", process, out, began)


def side_by_side(agent: Agent, followers: list[Follower], changes: int) -> list[dict[str, float]]:
    """Change the port so many times and wait until each file holds it; the figures of each, in their order."""
    wait_until(lambda: all(follower.out.exists() for follower in followers))
    time.sleep(2)  # what a start still does in the background is not a change's cost
    cpu = [follower.cpu() for follower in followers]
    took: list[list[float]] = [[] for _ in followers]
    for port in itertools.islice(ports, changes):
        agent.register("web", port=port, node="n1")
        began, waiting, wanted = time.perf_counter(), set(range(len(followers))), f":{port};".encode()
        while waiting:
            for number in list(waiting):
                if wanted in followers[number].out.read_bytes():
                    took[number].append(time.perf_counter() - began)
                    waiting.discard(number)
            time.sleep(0.00005)
        time.sleep(PAUSE_SECONDS)
    return [
        Times(took[number], follower.cpu() - cpu[number]).figures() | {"resident_mb": follower.resident_mb()}
        for number, follower in enumerate(followers)
    ]


def ratio(one: dict[str, float], other: dict[str, float]) -> float:
    """Of two medians."""
    return round(one["p50_ms"] / other["p50_ms"], 2)


changes = int(sys.argv[1]) if len(sys.argv) > 1 else 200
with Ground() as ground:
    agent = ground.consul()
    agent.register("web", port=1, node="n1")
    ctemplate, floor = ground.ctemplate(agent, TEMPLATE), bare_loop(ground, agent)
    ours, floors = side_by_side(agent, [ctemplate, floor], changes)
    figures: dict[str, Any] = {"changes": changes, "p50_ratio": ratio(ours, floors), "ours": ours, "floor": floors}
    said = (
        f"1 service, {changes} changes: p50 {ours['p50_ms']} ms ({figures['p50_ratio']} × the bare loop's "
        f"{floors['p50_ms']}), p99 {ours['p99_ms']} ms ({floors['p99_ms']}), CPU {ours['cpu_ms_a_change']} ms a change "
        f"({floors['cpu_ms_a_change']}), {ours['resident_mb']} MB resident ({floors['resident_mb']})"
    )
    if ground.has_consul_template():
        floor.stop()
        beside, go = side_by_side(agent, [ctemplate, ground.consul_template(agent, GO_TEMPLATE)], changes)
        figures["consul_template"] = go | {"p50_ratio": ratio(beside, go)}
        said += (
            f"; p50 {beside['p50_ms']} ms beside consul-template's {go['p50_ms']} (p99 {go['p99_ms']}, "
            f"CPU {go['cpu_ms_a_change']} ms a change, {go['resident_mb']} MB)"
        )
    report("one_service", figures, said)
