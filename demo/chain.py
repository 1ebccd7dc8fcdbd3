"""`make demo`: containers register themselves, nginx follows, and no request fails.

Starts the whole chain (demo/world.py), adds and kills containers under load, and prints what each step took:

    container event → registered in Consul → in nginx's file → reload proved

`--storm SECONDS` starts and kills containers at random instead, and holds Consul against Docker and the file against
Consul at each pause. `--trouble` also kills, freezes and restarts what is between. Ends with 1 when a request failed,
or something was not as it should be.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator

from world import World, go_inside, missing, until, world

STEP_SECONDS = 3.5
"""Between two changes: the commit before has ended and its cooldown too, so that each shows a lone change."""
AGENT_SECONDS = 2.0
"""By when Consul's agent is to be equal to Docker after the last change."""
FILE_SECONDS = 10.0
"""By when the file is to be: a commit under way and the cooldown go before."""
FEWEST, MOST = 3, 20
KILLED_REGISTER = "register killed"


def main() -> int:
    """Run what was asked for and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", choices=("consul", "docker"), default="consul")
    parser.add_argument("--changes", type=int, default=8)
    parser.add_argument("--storm", type=int, metavar="SECONDS")
    parser.add_argument("--trouble", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    consul = options.catalog == "consul"
    if lacks := missing(consul=consul):
        sys.stderr.write("this machine lacks:\n" + "".join(f"  {what}\n" for what in lacks))
        return 2
    go_inside()
    dice = random.Random(options.seed)
    # Published ports are the engine's own processes: they end with it, containers do not.
    with world(consul=consul, internal=options.trouble) as made:
        for _ in range(FEWEST):
            made.add_container()
        made.start_ctemplate()
        until(lambda: made.logs["ctemplate"].find("committed", since=0), "the first commit")
        if options.storm:
            return Storm(made, dice=dice).run(options.storm, trouble=options.trouble)
        return timeline(made, options.changes)


def timeline(made: World, changes: int) -> int:
    """Add and kill containers one by one, and print what each step took."""
    made.start_load(int(changes * STEP_SECONDS) + 4)
    middle = "   registered" if made.consul else ""
    print(f"{'':24}{middle}      in file   reload proved", flush=True)
    rows = []
    for number in range(changes):
        time.sleep(STEP_SECONDS)
        names = sorted(made.containers(), key=lambda name: int(name[1:]))
        began = time.time()
        if number % 3 == 2 and len(names) > FEWEST - 1:
            name, word = names[0], "killed"
            made.kill_container(name)
        else:
            name, word = made.add_container(), "started"
        row = _row(made, name, word, began)
        rows.append(row)
        print(f"container {name:4}{word:8}  " + "".join(f"{ms:10.0f} ms" for ms in row), flush=True)
    served, failed = made.load()
    print(f"{'median':24}" + "".join(f"{statistics.median(column):10.0f} ms" for column in zip(*rows, strict=True)))
    print(f"\nrequests served: {served:,}, failed: {failed}")
    return 1 if failed else 0


def _row(made: World, name: str, word: str, began: float) -> list[float]:
    """Return the milliseconds after the engine's own event at which each step was done."""
    action = "die" if word == "killed" else "start"
    event = _event_time(made, name, action, since=began)
    steps: list[Callable[[float], float | None]] = []
    if made.consul:
        done = "deregister" if word == "killed" else "register"
        pattern = f"done: {done} web {made.service_id(name)}"
        steps.append(lambda since: made.logs["register"].find(pattern, since=began))
    wanted = frozenset(made.containers().values())
    steps.append(lambda since: at if (at := made.seen.get(wanted, 0.0)) >= began else None)
    steps.append(lambda since: made.logs["ctemplate"].find("committed .*proof: new workers", since=since))
    row, since = [], began
    for number, step in enumerate(steps):
        since = until(lambda step=step, since=since: step(since), f"step {number + 1} of {name}", seconds=30)  # type: ignore[misc]  # bound now
        row.append((since - event) * 1000)
    return row


def _event_time(made: World, name: str, action: str, *, since: float) -> float:
    """Ask the engine when it happened."""
    filters = json.dumps({"container": [name], "event": [action]})
    said = made.docker("GET", "/events", since=str(int(since)), until=f"{time.time():.3f}", filters=filters)
    lines = [said] if isinstance(said, dict) else [json.loads(line) for line in (said or b"").splitlines() if line]
    return float(lines[-1]["timeNano"]) / 1e9 if lines else since


class Storm:
    """Containers start and are killed at random; at each pause one is held against the other."""

    def __init__(self, made: World, *, dice: random.Random) -> None:
        self._made = made
        self._dice = dice
        self._faults: list[str] = []
        self._changes = 0
        self._agent_after: list[float] = []
        self._file_after: list[float] = []

    def run(self, seconds: int, *, trouble: bool) -> int:
        """Let it rage for so long, print the figures as a JSON object, and return the exit code."""
        made = self._made
        made.start_load(seconds + 3)
        ends = time.monotonic() + seconds
        for name, happen in self._troubles() if trouble else ():
            self._happen(name, happen)
            self._pause(patient=True)
        while time.monotonic() < ends:
            self._burst(self._dice.uniform(0.5, 3))
            self._pause(patient=False)
        served, failed = made.load()
        if failed:
            self._faults.append(f"{failed} requests failed")
        figures = {
            "changes": self._changes,
            "pauses": len(self._file_after),
            "agent equal after, s": round(max(self._agent_after, default=0), 2),
            "file equal after, s": round(max(self._file_after), 2),
            "served": served,
            "failed": failed,
            "faults": self._faults,
        }
        print(json.dumps(figures, indent=1))
        if self._faults:
            for name, log in made.logs.items():
                sys.stderr.write(f"--- {name}\n" + "\n".join(line for _, line in log.lines[-40:]) + "\n")
            for file in ("wrk.log", "nginx/error.log"):
                sys.stderr.write(f"--- {file}\n" + "\n".join(made.tail(file)) + "\n")
        return 1 if self._faults else 0

    def _burst(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            names = sorted(self._made.containers())
            if len(names) > FEWEST and (len(names) >= MOST or self._dice.random() < 0.5):
                self._made.kill_container(self._dice.choice(names))
            else:
                self._made.add_container()
            self._changes += 1

    def _pause(self, *, patient: bool) -> None:
        """Wait until all are equal; `patient`: what is between was away, and may take its time."""
        wanted = frozenset(self._made.containers().values())
        if self._made.consul:
            limit = 40.0 if patient else AGENT_SECONDS
            self._agent_after.append(self._after(lambda: self._made.registered() == wanted, limit, "Consul's agent"))
        limit = 60.0 if patient else FILE_SECONDS
        self._file_after.append(self._after(lambda: self._made.servers() == wanted, limit, "the file"))

    def _after(self, holds: Callable[[], bool], limit: float, what: str) -> float:
        since = time.monotonic()
        try:
            until(holds, f"{what} equal to the engine", seconds=limit)
        except TimeoutError as fault:
            self._faults.append(str(fault))
        return time.monotonic() - since

    def _happen(self, name: str, happen: Callable[[], None]) -> None:
        """Let one thing happen, during which the file must hold every container that goes on."""
        there = len(self._made.containers()) - (name == KILLED_REGISTER)  # one container ends with it
        shown = len(self._made.sizes)
        happen()
        least = min([*self._made.sizes[shown:], len(self._made.servers())])
        if least < there:
            self._faults.append(f"{name}: the file shrank from {there} to {least} servers")

    def _troubles(self) -> Iterator[tuple[str, Callable[[], None]]]:
        made = self._made

        def stop(how: signal.Signals) -> None:
            made.kill("dockerd", how)
            time.sleep(2)
            made.start_engine()

        yield "the engine killed", lambda: stop(signal.SIGKILL)
        yield "the engine frozen", lambda: made.freeze("dockerd", 3)
        yield "the engine restarted", lambda: stop(signal.SIGTERM)
        if made.consul:
            yield KILLED_REGISTER, self._crash_register

    def _crash_register(self) -> None:
        """Kill it, and start another one once a container is gone and a new one there."""
        self._made.kill("register")
        self._made.add_container()
        self._made.kill_container(self._dice.choice(sorted(self._made.containers())))
        self._made.start_register()


if __name__ == "__main__":
    sys.exit(main())
