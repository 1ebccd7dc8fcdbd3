"""Five hundred templates of one service each; one service changes, and only its template is rendered.

consul-template, where it is on PATH, needs a connection a service: more than an agent allows by default.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

from follower import Follower, wait_until
from ground import Agent, Catalog, Ground, report

TEMPLATES, CHANGES = 500, 60


def wait_for_all(follower: Follower, catalog: Catalog) -> None:
    """Until the last template is rendered, and what a start still does in the background is done."""
    last = follower.out.with_name(f"{TEMPLATES - 1}.conf")
    wait_until(lambda: last.exists() and last.read_bytes().count(b"\n") == catalog.instances, seconds=120)
    time.sleep(5)


def change_one(follower: Follower, agent: Agent, catalog: Catalog) -> dict[str, float]:
    """Take one instance away and give it back, again and again."""
    node = catalog.node(0, 0)

    def changes() -> Iterator[tuple[Callable[[], object], Callable[[bytes], bool]]]:
        for number in range(CHANGES):
            status, lines = ("critical", 4) if number % 2 == 0 else ("passing", 5)
            yield (
                functools.partial(agent.set_status, "s0-0", status, node=node),
                lambda text, lines=lines: text.count(b"\n") == lines,
            )

    return follower.timed(changes(), pause=1.1).figures()


def renderings(ground: Ground) -> int:
    """How many the log tells of."""
    return (ground.path / "ctemplate.log").read_text().count(" rendered ")


with Ground() as ground:
    agent = ground.consul()
    catalog = agent.fill(TEMPLATES, nodes=50)
    texts = [f'{{% for i in service("s{n}") %}}server {{{{ i.endpoint }}}};\n{{% endfor %}}' for n in range(TEMPLATES)]
    follower = ground.ctemplate(agent, texts)
    wait_for_all(follower, catalog)
    before = renderings(ground)
    figures: dict[str, Any] = dict(change_one(follower, agent, catalog))
    figures["renderings_a_change"] = round((renderings(ground) - before) / CHANGES, 2)
    figures["threads"] = follower.process.num_threads()
    said = (
        f"500 templates, one service changes: {figures['renderings_a_change']} renderings and "
        f"{figures['cpu_ms_a_change']} ms CPU a change, p50 {figures['p50_ms']} ms, {figures['threads']} threads"
    )
    if ground.has_consul_template():
        follower.stop()
        agent = ground.consul(connections=2 * TEMPLATES)
        catalog = agent.fill(TEMPLATES, nodes=50)
        texts = [
            f'{{{{range service "s{n}"}}}}server {{{{.Address}}}}:{{{{.Port}}}};\n{{{{end}}}}' for n in range(TEMPLATES)
        ]
        other = ground.consul_template(agent, texts)
        wait_for_all(other, catalog)
        go = figures["consul_template"] = change_one(other, agent, catalog)
        said += f"; consul-template: {go['cpu_ms_a_change']} ms CPU a change, p50 {go['p50_ms']} ms"
    report("five_hundred_templates", figures, said)
