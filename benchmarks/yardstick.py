"""How fast this machine is at this moment: plain Jinja2 prints 50,000 lines.

What else runs on the host changes absolute figures twofold from one hour to the next. Held against this, which is
measured before and after each benchmark, they can be compared.
"""

from __future__ import annotations

import statistics
import time

import jinja2
from ground import LIST_ALL, report

RENDERINGS = 15


class Record:
    """A service or an instance, as light as can be."""

    __slots__ = ("endpoint", "name")

    def __init__(self, name: str, endpoint: str = "") -> None:
        self.name = name
        self.endpoint = endpoint


services = [Record(f"s{n}") for n in range(10_000)]
instances = {s.name: [Record(s.name, f"10.0.{n % 256}.{k}:80") for k in range(5)] for n, s in enumerate(services)}
template = jinja2.Environment().from_string(LIST_ALL)
took = []
for _ in range(RENDERINGS):
    began = time.perf_counter()
    template.render(services=lambda: services, service=instances.get)
    took.append(time.perf_counter() - began)
median = round(statistics.median(took) * 1e3, 1)
report("yardstick", {"median_ms": median}, f"plain Jinja2, 50,000 lines: {median} ms")
