"""What the check of every value costs: the same 50,000 lines by ctemplate and by plain Jinja2, in turn.

- `one answer`: 50,000 instances of one service, four values a line: nearly all of it is printing
- `10,000 answers`: a service a time, so that looking answers up and keeping passages is in it

Plain Jinja2 is given lists of the same instances, and checks nothing. `first` is a renderer's first rendering,
`again` its next one; of 10,000 answers nothing is rendered again that did not change (`last_known_good.py`).
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import jinja2
from ground import LIST_ALL, report

from ctemplate.engine.run import COLLECT_AFTER
from ctemplate.model import Answer, Instance, Kind, Query, Rendering, ServiceName, Snapshot
from ctemplate.render import Renderer
from ctemplate.settings import Template

FOUR_VALUES = (
    '{% for i in service("all") %}server {{ i.address }}:{{ i.port }}; # {{ i.name }} {{ i.id }}\n{% endfor %}'
)
ROUNDS = 15


def instance(service: str, number: int) -> Instance:
    """An instance whose address and id no other of its service has."""
    address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    return Instance(id=f"{service}-{number}", name=service, address=address, port=1_024 + number, node="n")


one = {"all": tuple(instance("all", number) for number in range(50_000))}
many = {name: tuple(instance(name, number) for number in range(5)) for name in (f"s{n:05d}" for n in range(10_000))}


def snapshot(services: dict[str, tuple[Instance, ...]]) -> Snapshot:
    """What a catalog would have answered."""
    answers = {Query(kind=Kind.SERVICE, name=name): Answer(instances) for name, instances in services.items()}
    return Snapshot(answers={Query(kind=Kind.SERVICES): Answer(tuple(map(ServiceName, services))), **answers})


def milliseconds(work: Callable[[], object]) -> float:
    """Processor time of one run."""
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1e3


def measured(text: str, services: dict[str, tuple[Instance, ...]]) -> dict[str, float]:
    """Medians of plain Jinja2's, the first and the next rendering, taken in turn."""
    seen, names = snapshot(services), list(map(ServiceName, services))
    plain = jinja2.Environment().from_string(text)
    template = Template(contents=text, destination=Path("/out"), format="nginx")
    taken: dict[str, list[float]] = {"plain": [], "first": [], "again": []}
    for _ in range(ROUNDS):
        taken["plain"].append(milliseconds(lambda: plain.render(services=lambda: names, service=services.get)))
        renderer = Renderer([template], environ={})
        taken["first"].append(milliseconds(lambda made=renderer: made.resolve(template, seen)))
        taken["again"].append(milliseconds(lambda made=renderer: made.resolve(template, seen)))
    rendering = renderer.resolve(template, seen)
    assert isinstance(rendering, Rendering)
    assert rendering.content.decode() == plain.render(services=lambda: names, service=services.get)
    return {kind: round(statistics.median(times), 1) for kind, times in taken.items()}


def said(name: str, found: dict[str, float]) -> str:
    """One half of the sentence."""
    plain, first, again = found["plain"], found["first"], found["again"]
    return f"{name}: plain {plain} ms, first {first} ({first / plain:.2f} x), again {again} ({again / plain:.2f} x)"


gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])  # as the daemon does
figures = {"one answer": measured(FOUR_VALUES, one), "10,000 answers": measured(LIST_ALL, many)}
report("value_check", figures, "50,000 lines, " + "; ".join(said(name, found) for name, found in figures.items()))
