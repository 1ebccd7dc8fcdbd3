"""Another client of the same agent, on the same host, while ten thousand services are loaded and followed.

The agent has its default limits. consul-template, where it is on PATH, is then started on it in the place of ctemplate.
"""

from __future__ import annotations

import http.client
import statistics
import time
from typing import Any

from every_service import GO_LIST_ALL
from ground import LIST_ALL, Agent, Ground, report


def ask(agent: Agent, seconds: float) -> tuple[list[float], int]:
    """Read one service by a new connection twenty times a second; the times taken and how many were refused."""
    took, refused, until = [], 0, time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", agent.port, timeout=10)
        try:
            connection.request("GET", "/v1/health/service/s7")
            connection.getresponse().read()
            took.append(time.perf_counter() - began)
        except (OSError, http.client.HTTPException):
            refused += 1
        finally:
            connection.close()
        time.sleep(0.05)
    return took, refused


def p99_ms(took: list[float]) -> float | None:
    """None where nearly nobody was answered."""
    return round(statistics.quantiles(took, n=100)[98] * 1e3, 2) if len(took) > 10 else None


with Ground() as ground:
    agent = ground.consul()
    agent.fill(10000)
    alone, _ = ask(agent, 20)
    follower = ground.ctemplate(agent, LIST_ALL, "-log-level", "warning")
    loading, refused = ask(agent, 8)
    follower.first_file(50000)
    beside, more = ask(agent, 20)
    p99 = {"alone": p99_ms(alone), "loading": p99_ms(loading), "followed": p99_ms(beside)}
    figures: dict[str, Any] = {"p99_ms": p99, "refused": refused + more, "sockets": follower.sockets()}
    said = (
        f"another client: p99 {p99['alone']} ms alone, {p99['loading']} ms while 10,000 services are loaded, "
        f"{p99['followed']} ms while they are followed; {figures['refused']} refused"
    )
    if ground.has_consul_template():
        follower.stop()
        go = ground.consul_template(agent, GO_LIST_ALL)
        took, refused = ask(agent, 28)
        rendered = go.out.exists()
        figures["consul_template"] = {"p99_ms": p99_ms(took), "refused": refused, "rendered": rendered}
        said += (
            f"; beside consul-template {refused} of {len(took) + refused} refused, and it has "
            f"{'' if rendered else 'not '}rendered after 28 s"
        )
    report("neighbours", figures, said)
