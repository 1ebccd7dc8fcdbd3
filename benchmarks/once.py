"""`ctemplate -once` on a thousand services of five instances, seven times."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time

from ground import LIST_ALL, Ground, report

with Ground() as ground:
    agent = ground.consul()
    agent.fill(1000)
    (ground.path / "t.j2").write_text(LIST_ALL)
    out = ground.path / "out.conf"
    command = [sys.executable, "-m", "ctemplate", "-once", "-consul-addr", agent.address, "-template"]
    walls, cpus = [], []
    for _ in range(7):
        out.unlink(missing_ok=True)
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            [*command, f"{ground.path / 't.j2'}:{out}", "-state-dir", str(ground.path / "once")],
            check=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        walls.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if out.read_bytes().count(b"\n") < 5000:
            sys.exit("the file is not complete")
    figures = {"wall_s": round(statistics.median(walls), 3), "cpu_s": round(statistics.median(cpus), 3)}
    report(
        "once",
        figures,
        f"-once, 1,000 services × 5: {figures['wall_s']} s wall, {figures['cpu_s']} s CPU (median of 7)",
    )
