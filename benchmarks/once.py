"""`ctemplate -once` on a thousand services of five instances, seven times.

consul-template, where it is on PATH, does the same against an agent that allows it a connection a service.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from every_service import GO_LIST_ALL
from ground import LIST_ALL, Ground, report

SERVICES = 1000


def seven_times(command: list[str], out: Path) -> dict[str, float]:
    """Run a command that writes `out`; the medians."""
    walls, cpus = [], []
    for _ in range(7):
        out.unlink(missing_ok=True)
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        walls.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if out.read_bytes().count(b"\n") < 5 * SERVICES:
            sys.exit("the file is not complete")
    return {"wall_s": round(statistics.median(walls), 3), "cpu_s": round(statistics.median(cpus), 3)}


with Ground() as ground:
    source, out = ground.path / "t.j2", ground.path / "out.conf"
    pair = f"{source}:{out}"
    agent = ground.consul()
    agent.fill(SERVICES)
    source.write_text(LIST_ALL)
    python = [sys.executable, "-m", "ctemplate", "-state-dir", str(ground.path / "once")]
    figures: dict[str, object] = dict(
        ours := seven_times([*python, "-once", "-consul-addr", agent.address, "-template", pair], out)
    )
    said = f"-once, 1,000 services × 5: {ours['wall_s']} s wall, {ours['cpu_s']} s CPU (median of 7)"
    if ground.has_consul_template():
        agent = ground.consul(connections=2 * SERVICES)
        agent.fill(SERVICES)
        source.write_text(GO_LIST_ALL)
        go = seven_times(["consul-template", "-once", "-consul-addr", agent.address, "-template", pair], out)
        figures["consul_template"] = go
        said += f"; consul-template: {go['wall_s']} s wall, {go['cpu_s']} s CPU"
    report("once", figures, said)
