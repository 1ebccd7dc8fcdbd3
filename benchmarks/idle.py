"""Ten thousand services and nothing changes: what following them costs.

python benchmarks/idle.py [SECONDS]
"""

from __future__ import annotations

import sys
import time

from ground import LIST_ALL, Ground, report

with Ground() as ground:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 90.0
    agent = ground.consul()
    agent.fill(10000)
    follower = ground.ctemplate(agent, LIST_ALL)
    follower.first_file(50000)
    time.sleep(10)
    cpu, switches = follower.cpu(), follower.process.num_ctx_switches().voluntary
    time.sleep(seconds)
    figures = {
        "core_percent": round((follower.cpu() - cpu) / seconds * 100, 3),
        "wakes_a_second": round((follower.process.num_ctx_switches().voluntary - switches) / seconds, 2),
        "resident_mb": follower.resident_mb(),
        "sockets": follower.sockets(),
    }
    report(
        "idle",
        figures,
        f"10,000 services, nothing changes for {seconds:.0f} s: {figures['core_percent']} % of a core, "
        f"{figures['wakes_a_second']} wakes a second, {figures['resident_mb']} MB, {figures['sockets']} sockets",
    )
