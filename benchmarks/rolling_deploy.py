"""A thousand instances are replaced within 20 s: how many reloads, and when the last state is there."""

from __future__ import annotations

import time

from follower import wait_until
from ground import Ground, report

SECONDS, INSTANCES, COOLDOWN = 20.0, 1000, 2.0

with Ground() as ground:
    agent = ground.consul()
    for number in range(INSTANCES):
        agent.register("web", id=f"old{number}", node=f"n{number % 50}", port=1000 + number)
    reloads = ground.path / "reloads"
    (ground.path / "app.j2").write_text('{% for i in service("web") %}server {{ i.endpoint }};\n{% endfor %}')
    out = ground.path / "app.conf"
    follower = ground.start_ctemplate(agent, f"{ground.path / 'app.j2'}:{out}:echo reload >> {reloads}")
    follower.first_file(INSTANCES)
    time.sleep(3)
    before, began = len(reloads.read_text().splitlines()), time.monotonic()
    for number in range(INSTANCES):
        time.sleep(max(0.0, began + number * SECONDS / INSTANCES - time.monotonic()))
        agent.register("web", id=f"old{number}", node=f"n{number % 50}", port=20000 + number)
    ended = time.monotonic()
    wanted = [f":{20000 + number};".encode() for number in range(INSTANCES)]

    def is_there() -> bool:
        text = out.read_bytes()
        return all(line in text for line in wanted)

    wait_until(is_there)
    figures = {
        "last_state_s": round(time.monotonic() - ended, 2),
        "reloads": len(reloads.read_text().splitlines()) - before,
        "allowed": int(SECONDS / COOLDOWN) + 2,
    }
    report(
        "rolling_deploy",
        figures,
        f"1,000 instances replaced in 20 s: {figures['reloads']} reloads (at most {figures['allowed']}), last state "
        f"{figures['last_state_s']} s after the last change",
    )
