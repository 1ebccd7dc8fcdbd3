"""Lays out every state that a crash may leave of a commit, recovers, and looks at what came of it.

The recovery is recorded too, and so the states that a crash *inside the recovery* may leave follow, and of
the recovery from those, until no new state comes up. The first crash may also be that of the process alone:
nothing is lost then, but nothing more is safe either when the machine fails in the recovery. A state counts
once, however it came about.
"""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crash.disk import Disk, State
from crash.layout import lay_out, take
from crash.recording import Operation, Ran, Said, Sync, operations, record, strace
from crash.scenario import UNREAD, Scenario

HERE = Path(__file__).parent
DEPTH = 4
"""Crashes in a row: of the commit, of its recovery, of the recovery from that … No scenario needs as many."""


@dataclass(frozen=True, slots=True)
class Crash:
    """What a crash left: on disk, and in the server's memory (None: it cannot be known)."""

    disk: State
    served: str | None
    unsafe: Disk | None = field(default=None, compare=False)
    """The disk with all that is not safe on it yet, where only the process crashed."""

    def start(self, root: Path) -> Disk:
        """Return the disk that a recovery finds."""
        return Disk.holding(self.disk, root=str(root)) if self.unsafe is None else copy.deepcopy(self.unsafe)


@dataclass(frozen=True, slots=True)
class Bad:
    """A state that the recovery did not mend, and what was wrong then."""

    crash: Crash
    fault: str


@dataclass(slots=True)
class Found:
    """What an exploration came to."""

    states: int = 0
    in_recovery: int = 0
    """How many of them only a crash inside a recovery leaves."""
    bad: list[Bad] = field(default_factory=list)


class Exploration:
    """One scenario in one directory. What was once recovered well is remembered for the mutants."""

    def __init__(self, scenario: Scenario, base: Path, *, binary: str, seed: int = 1) -> None:
        self.scenario = scenario
        self._base = base
        self._binary = binary
        self._sample = random.Random(seed)
        self._env = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        command = [sys.executable, "-m", "crash.traced", *scenario.prepare(base)]
        self.operations = record(
            command, log=base / "strace", below=self._root, ignored=UNREAD, binary=binary, env=self._env
        )
        scenario.change_the_world(base)
        self._tried: dict[Crash, tuple[str, list[Operation]]] = {}

    @property
    def _root(self) -> Path:
        return self._base / "root"

    @property
    def synced(self) -> set[str]:
        """The sites of every fsync so far, of the commit and of its recoveries."""
        runs = (self.operations, *(done for _, done in self._tried.values()))
        return {operation.site for run in runs for operation in run if isinstance(operation, Sync)}

    def run(self, *, without: str = "", most: int | None = None, depth: int = DEPTH) -> Found:
        """Try the states that crashes may leave: all of them, or about so many at each level, and fewer below.

        `without`: the site of an fsync that is left out everywhere; then the first level with a bad state is
        the last.
        """
        found = Found()
        seen: set[Crash] = set()
        before = Crash(self.scenario.before(), self.scenario.old_set)
        frontier = [*self._crashes(before, self.operations, without), *self._kills(before, without)]
        for level in range(depth):
            fresh = self._choose(frontier, seen, most)
            found.states += len(fresh)
            found.in_recovery += len(fresh) if level else 0
            frontier = []
            for crash, fault, done in self._recover(fresh):
                if fault:
                    found.bad.append(Bad(crash, fault))
                if level + 1 < depth:
                    frontier += self._crashes(crash, done, without)
            if not frontier or (found.bad and without):
                break
        return found

    def _choose(self, crashes: Iterable[Crash], seen: set[Crash], most: int | None) -> list[Crash]:
        """Return those that are new; what only a process lost is new by what is not safe."""
        fresh = [*dict.fromkeys(crash for crash in crashes if crash.unsafe is None and crash not in seen)]
        seen.update(fresh)
        fresh += [crash for crash in crashes if crash.unsafe is not None]
        return fresh if most is None or len(fresh) <= most else self._sample.sample(fresh, most)

    def _crashes(self, start: Crash, done: Sequence[Operation], without: str) -> Iterator[Crash]:
        """Yield what a crash of the machine may leave before, between and after these operations."""
        for disk, served in self._moments(start, done, without):
            yield from (Crash(state, served) for state in disk.crashes(sample=self._sample))

    def _kills(self, start: Crash, without: str) -> Iterator[Crash]:
        """Yield what a crash of the process leaves."""
        for disk, served in self._moments(start, self.operations, without):
            yield Crash(disk.now(), served, unsafe=copy.deepcopy(disk))

    def _moments(self, start: Crash, done: Sequence[Operation], without: str) -> Iterator[tuple[Disk, str | None]]:
        """Yield the disk, and what the server runs, before, between and after these operations."""
        disk, served = start.start(self._root), start.served
        yield disk, served
        for operation in done:
            if isinstance(operation, Ran):
                if self.scenario.is_reload(operation.words):
                    loads = self.scenario.seen(disk.now())
                    yield disk, served if served == loads else None
                    served = loads
            elif not (isinstance(operation, Sync) and without and operation.site == without):
                disk.apply(operation)
            yield disk, served

    def _recover(self, crashes: Sequence[Crash]) -> Iterator[tuple[Crash, str, list[Operation]]]:
        """Run the real recovery on each; yields what was wrong afterwards, and what the recovery did."""
        fresh = [crash for crash in crashes if crash not in self._tried]
        log = self._base / "strace"
        command = [sys.executable, "-m", "crash.recovering", str(self._root)]
        command += map(str, self.scenario.destinations(self._base))
        faults: list[str] = []
        with subprocess.Popen(
            [*strace(log, binary=self._binary), *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._env, cwd=self._base,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            for crash in fresh:
                lay_out(crash.disk, root=self._root)
                (self._base / "log").write_text("")
                process.stdin.write("go\n")
                process.stdin.flush()
                complaints = json.loads(process.stdout.readline())
                faults.append(self._judge(crash, complaints))
            process.stdin.close()
        for crash, fault, done in zip(fresh, faults, self._recoveries(log), strict=True):
            self._tried[crash] = fault, done
        yield from ((crash, *self._tried[crash]) for crash in crashes)

    def _judge(self, crash: Crash, complaints: Sequence[str]) -> str:
        after = take(self._root, ignored=UNREAD)
        log = (self._base / "log").read_text().splitlines()
        return self.scenario.fault(after, log=log, served=crash.served, complaints=complaints)

    def _recoveries(self, log: Path) -> Iterator[list[Operation]]:
        """Yield what each recovery did, from the recording of them all."""
        done: list[Operation] | None = None
        for operation in operations(log, below=self._root, ignored=UNREAD):
            match operation:
                case Said("over"):
                    assert done is not None
                    yield done
                    done = None
                case Said():
                    done = []
                case _ if done is not None:
                    done.append(operation)
