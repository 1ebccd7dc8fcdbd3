"""Five hundred templates of one service each; one service changes, and only its template is rendered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from ground import Ground, report

CHANGES = 60

with Ground() as ground:
    agent = ground.consul()
    catalog = agent.fill(500, nodes=50)
    texts = [f'{{% for i in service("s{n}") %}}server {{{{ i.endpoint }}}};\n{{% endfor %}}' for n in range(500)]
    follower = ground.ctemplate(agent, texts)
    last = ground.path / "499.conf"
    while not last.exists() or last.read_bytes().count(b"\n") < 5:
        time.sleep(0.05)
    time.sleep(5)
    log = ground.path / "ctemplate.log"
    before = log.read_text().count(" rendered ")
    node = catalog.node(0, 0)

    def changes() -> Iterator[tuple[Callable[[], object], Callable[[bytes], bool]]]:
        for port in range(2000, 2000 + CHANGES):
            yield (
                lambda port=port: agent.set_status("s0-0", "critical" if port % 2 == 0 else "passing", node=node),
                lambda text, port=port: text.count(b"\n") == (4 if port % 2 == 0 else 5),
            )

    figures = follower.timed(changes(), pause=1.1).figures()
    figures["renderings_a_change"] = round((log.read_text().count(" rendered ") - before) / CHANGES, 2)
    figures["threads"] = follower.process.num_threads()
    report(
        "five_hundred_templates",
        figures,
        f"500 templates, one service changes: {figures['renderings_a_change']} renderings and "
        f"{figures['cpu_ms_a_change']} ms CPU a change, p50 {figures['p50_ms']} ms, {figures['threads']} threads",
    )
