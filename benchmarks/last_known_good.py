"""What the guard and the last known good cost at 10,000 services of 5 instances, as ratios within one run.

- guard: a rendering that is held against what was last committed, beside the same rendering held against nothing
- kept: encoding the last known good, beside encoding nothing but its answers
- loop: how long the event loop stood still at most while it was written, beside how long that took
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from ctemplate.engine.guards import Guards
from ctemplate.engine.keeping import Keeping
from ctemplate.engine.kept import decode
from ctemplate.engine.kept_changes import Changes
from ctemplate.engine.run import COLLECT_AFTER
from ctemplate.model import Answer, Basis, Check, Instance, Kind, Query, Rendering, ServiceName, Snapshot
from ctemplate.render import Renderer
from ctemplate.render.services import plain_selection
from ctemplate.settings import Settings, Template
from ctemplate.state import State

SERVICES, INSTANCES = 10_000, 5
CHECKS = (Check("serfHealth", "Serf Health Status", "passing"), Check("c", "own", "passing"))
TEXT = """\
{% for s in services() %}
upstream {{ s.name }} {
{% for i in service(s.name) %}
    server {{ i.endpoint }};
{% endfor %}
}
{% endfor %}
"""


def snapshot() -> Snapshot:
    """A catalog's answers."""
    names = [f"s{n:05d}" for n in range(SERVICES)]
    answers = {Query(kind=Kind.SERVICES): Answer(tuple(ServiceName(name) for name in names))}
    for name in names:
        answers[Query(kind=Kind.SERVICE, name=name)] = Answer(
            tuple(
                Instance(
                    id=f"{name}-{k}", name=name, address=f"10.0.{k}.1", port=8000 + k, node=f"n{k}", tags=("a", "b"),
                    meta={"version": "1"}, all_checks=CHECKS,
                )
                for k in range(INSTANCES)
            )
        )  # fmt: skip
    return Snapshot(answers=answers)


def seconds(work: Callable[[], object], *, times: int = 7) -> float:
    """The least CPU time of some runs: others use this machine, too."""
    taken = []
    for _ in range(times):
        began = time.thread_time()
        work()
        taken.append(time.thread_time() - began)
    return min(taken)


def written(changes: Changes, bases: Mapping[str, Basis]) -> bytes:
    """What goes into the file."""
    return b"".join(changes.since(bases, [], with_keys=frozenset()).pieces)


def with_a_change(bases: Mapping[str, Basis], number: int) -> Mapping[str, Basis]:
    """The bases when one service has an instance less."""
    changed = {}
    for name, basis in bases.items():
        query = Query(kind=Kind.SERVICE, name=f"s{number:05d}")
        left = basis.answers[query].value[1:]
        changed[name] = Basis(
            answers={**basis.answers, query: Answer(left)},
            given={**basis.given, plain_selection(query.name, ("default",)): left},
            listed=basis.listed,
        )
    return changed


async def longest_stop(work: Callable[[], object]) -> tuple[float, float]:
    """How long the loop stood still at most during `work`, and how long `work` took."""
    longest, ended = 0.0, False

    async def beat() -> None:
        nonlocal longest
        while not ended:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - began - 0.001)

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0.1)
    longest, began = 0.0, time.perf_counter()
    await work()  # type: ignore[misc]
    took = time.perf_counter() - began
    ended = True
    await beating
    return longest, took


def main() -> None:
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])  # as the daemon does
    seen = snapshot()
    template = Template(contents=TEXT, destination=Path("/out"), format="nginx")
    settings = Settings(templates=(template,))
    renderer = Renderer([template], environ={})
    guards = Guards(settings, emit=print)
    free = seconds(lambda: renderer.resolve(template, seen))
    rendering = renderer.resolve(template, seen)
    assert isinstance(rendering, Rendering)
    guards.committed(rendering)
    baseline = guards.baseline("/out")
    held = seconds(lambda: renderer.resolve(template, seen, baseline=baseline))
    bare = seconds(lambda: [msgspec.json.encode(answer) for answer in seen.answers.values()])
    bases = guards.bases
    kept = seconds(lambda: written(Changes(), bases))
    changes = Changes()
    raw = written(changes, bases)
    changing: list[Mapping[str, Basis]] = [bases]
    for number in range(8):
        changing.append(with_a_change(changing[-1], number))
    again = iter(changing[1:])
    change = seconds(lambda: written(changes, next(again)))
    added = len(written(changes, next(again)))
    read = seconds(lambda: decode(raw), times=3)
    with tempfile.TemporaryDirectory() as directory, State(Path(directory) / "state") as state:
        keeping = Keeping(guards, state, settings=lambda: settings, emit=print)
        guards.changes += 1
        stop, took = asyncio.run(longest_stop(keeping.save))
    print(f"rendering, {SERVICES} services of {INSTANCES}   {free * 1e3:7.0f} ms")
    print(f"  held against the last commit      {held * 1e3:7.0f} ms  {held / free:5.2f} x")
    print(f"encoding the answers alone          {bare * 1e3:7.0f} ms")
    print(f"  the last known good, {len(raw) / 1e6:5.1f} MB     {kept * 1e3:7.0f} ms  {kept / bare:5.2f} x")
    print(f"  one change of it, {added / 1e3:5.1f} KB     {change * 1e3:7.0f} ms  {change / bare:5.2f} x")
    print(f"  read at start                     {read * 1e3:7.0f} ms")
    print(f"writing it in a thread, with fsync  {took * 1e3:7.0f} ms")
    print(f"  the loop stood still at most      {stop * 1e3:7.0f} ms  {stop / took:5.2f} x")


if __name__ == "__main__":
    main()
