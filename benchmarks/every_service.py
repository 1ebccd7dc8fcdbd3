"""One template that lists every instance of every service: the first file, then changes one at a time.

Where consul-template is on PATH it does the same against an agent of its own. That one allows it as many connections
as it has services, since with the default limit it never renders more than 200.
"""

from __future__ import annotations

import functools
import random
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from follower import Follower
from ground import LIST_ALL, Agent, Catalog, Ground, node_address

GO_LIST_ALL = "{{range services}}{{range service .Name}}server {{.Address}}:{{.Port}}; # {{.Name}}\n{{end}}{{end}}"
"""`LIST_ALL` for consul-template."""


def many(
    ground: Ground, agent: Agent, catalog: Catalog, *options: object, changes: int, starts: int = 1
) -> dict[str, Any]:
    """Follow a whole catalog with ctemplate; what `follow` measured, and consul-template's beside it.

    `starts`: how often the first file is timed, the first time as soon as the catalog is filled, as consul-template's
    is. The others follow at the end, each with a state directory of its own: in every second or third the agent
    collects its garbage, which takes it a second. (consul-template starts once: what it parked stays with the agent.)
    """
    follower = ground.ctemplate(agent, LIST_ALL, "-log-level", "warning", *options)
    figures = follow(follower, agent, catalog, changes=changes)
    follower.stop()
    first_files = [figures["first_file_s"]]
    while len(first_files) < starts:
        time.sleep(3)
        follower = ground.ctemplate(agent, LIST_ALL, "-log-level", "warning", *options)
        first_files.append(round(follower.first_file(catalog.services * catalog.instances), 2))
        follower.stop()
    figures["median_first_file_s"], figures["first_files_s"] = statistics.median(first_files), first_files
    agent.stop()
    return figures | {"consul_template": _consul_template(ground, catalog, changes=changes)}


def _consul_template(ground: Ground, catalog: Catalog, *, changes: int) -> dict[str, Any] | None:
    """The same by consul-template with a poll a service; None where it is not on PATH."""
    if not ground.has_consul_template():
        return None
    agent = ground.consul(connections=catalog.services + 1000)
    agent.fill(catalog.services, instances=catalog.instances, nodes=catalog.nodes)
    follower = ground.consul_template(agent, GO_LIST_ALL)
    figures = follow(follower, agent, catalog, changes=changes)
    follower.stop()
    return figures


def follow(follower: Follower, agent: Agent, catalog: Catalog, *, changes: int) -> dict[str, Any]:
    """Wait for the first file, then time random changes of health and of ports, one at a time, a pause between."""
    shuffle = random.Random(7)
    figures: dict[str, Any] = {"first_file_s": round(follower.first_file(catalog.services * catalog.instances), 2)}
    time.sleep(3)  # what a start still does in the background is not a change's cost

    def health() -> Iterator[tuple[Callable[[], object], Callable[[bytes], bool]]]:
        for _ in range(changes // 2):
            service = shuffle.randrange(catalog.services)
            node, id = catalog.node(service, 0), f"s{service}-0"
            line = f"server {node_address(node)}:{1024 + service % 60000}; # s{service}\n".encode()
            yield functools.partial(agent.set_status, id, "critical", node=node), functools.partial(_lacks, line)
            yield functools.partial(agent.set_status, id, "passing", node=node), functools.partial(_holds, line)

    def ports() -> Iterator[tuple[Callable[[], object], Callable[[bytes], bool]]]:
        for number in range(changes):
            service = shuffle.randrange(catalog.services)
            node, port = catalog.node(service, 1), 61100 + number
            line = f":{port}; # s{service}\n".encode()
            change = functools.partial(agent.register, f"s{service}", id=f"s{service}-1", node=node, port=port)
            yield change, functools.partial(_holds, line)

    figures["health"] = follower.timed(health(), pause=0.3).figures()
    figures["port"] = follower.timed(ports(), pause=1.1).figures()  # a sweep may start once a second
    time.sleep(2)
    figures["resident_mb"], figures["sockets"] = follower.resident_mb(), follower.sockets()
    return figures


def _holds(line: bytes, text: bytes) -> bool:
    return line in text


def _lacks(line: bytes, text: bytes) -> bool:
    return line not in text


def sentence_of(title: str, figures: dict[str, Any]) -> str:
    """What `many` measured, in a line."""
    said = f"{title}: {_said(figures)}"
    if go := figures["consul_template"]:
        said += f"; consul-template: {_said(go)}"
    return said


def _said(figures: dict[str, Any]) -> str:
    health, port = figures["health"], figures["port"]
    starts = len(figures.get("first_files_s", ()))
    again = f" (median of {starts} starts {figures['median_first_file_s']})" if starts > 1 else ""
    return (
        f"first file {figures['first_file_s']} s{again}, health p50 {health['p50_ms']} ms "
        f"({health['cpu_ms_a_change']} ms CPU), port p50 {port['p50_ms']} ms ({port['cpu_ms_a_change']} ms CPU), "
        f"{figures['resident_mb']} MB, {figures['sockets']} sockets"
    )
