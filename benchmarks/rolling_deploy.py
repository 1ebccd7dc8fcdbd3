"""A thousand instances are replaced within 20 s: how many reloads, and when the last state is there.

consul-template, where it is on PATH, runs as it does unless told otherwise, and with `-wait` at the pace of ours.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from follower import Follower, wait_until
from ground import Agent, Ground, report

SECONDS, INSTANCES, COOLDOWN = 20.0, 1000, 2.0


def register(agent: Agent, number: int, *, port: int) -> None:
    """Write one instance of the one service."""
    agent.register("web", id=f"old{number}", node=f"n{number % 50}", port=port)


def deploy(agent: Agent, follower: Follower, reloads: Path, *, ports: int) -> dict[str, Any]:
    """Give every instance another port, evenly over the time; what was reloaded, and how late the last change was."""
    follower.first_file(INSTANCES)
    time.sleep(3)
    before, cpu, began = len(reloads.read_text().splitlines()), follower.cpu(), time.monotonic()
    for number in range(INSTANCES):
        time.sleep(max(0.0, began + number * SECONDS / INSTANCES - time.monotonic()))
        register(agent, number, port=ports + number)
    ended = time.monotonic()
    wanted = [f":{ports + number};".encode() for number in range(INSTANCES)]

    def is_there() -> bool:
        text = follower.out.read_bytes()
        return all(line in text for line in wanted)

    wait_until(is_there)
    last = round(time.monotonic() - ended, 2)
    time.sleep(COOLDOWN + 1)  # the reload of the last state may still be due
    return {
        "last_state_s": last,
        "reloads": len(reloads.read_text().splitlines()) - before,
        "cpu_s": round(follower.cpu() - cpu, 2),
    }


with Ground() as ground:
    agent = ground.consul()
    for number in range(INSTANCES):
        register(agent, number, port=1000 + number)

    def run(name: str, source: str, start: Callable[[str], Follower], *, ports: int) -> dict[str, Any]:
        """Let a program that `start` starts on one `SRC:DEST:COMMAND` go through a deploy."""
        template, reloads = ground.path / f"{name}.j2", ground.path / f"{name}.reloads"
        template.write_text(source)
        follower = start(f"{template}:{template.with_suffix('.conf')}:echo reload >> {reloads}")
        figures = deploy(agent, follower, reloads, ports=ports)
        follower.stop()
        return figures

    ours = '{% for i in service("web") %}server {{ i.endpoint }};\n{% endfor %}'
    figures = run("ctemplate", ours, functools.partial(ground.start_ctemplate, agent), ports=20000)
    figures["allowed"] = int(SECONDS / COOLDOWN) + 2
    said = (
        f"1,000 instances replaced in 20 s: {figures['reloads']} reloads (at most {figures['allowed']}), last state "
        f"{figures['last_state_s']} s after the last change, {figures['cpu_s']} s CPU"
    )
    if ground.has_consul_template():
        theirs = '{{range service "web"}}server {{.Address}}:{{.Port}};\n{{end}}'
        start = functools.partial(ground.start_consul_template, agent)
        pace = ("-wait", f"{COOLDOWN:g}s:{COOLDOWN:g}s")
        go = figures["consul_template"] = run("go", theirs, start, ports=30000)
        paced = figures["consul_template_paced"] = run("paced", theirs, lambda pair: start(pair, *pace), ports=40000)
        said += (
            f"; consul-template: {go['reloads']} reloads, {go['last_state_s']} s, {go['cpu_s']} s CPU; with "
            f"{' '.join(pace)}: {paced['reloads']} reloads, {paced['last_state_s']} s, {paced['cpu_s']} s CPU"
        )
    report("rolling_deploy", figures, said)
