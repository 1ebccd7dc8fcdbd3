"""A process that keeps a file in line with a catalog, measured from outside: ctemplate, or what it is held against."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil


def wait_until(condition: Callable[[], bool], *, seconds: float = 30.0, what: str = "", pause: float = 0.0001) -> None:
    """Look until it is so, again after each `pause` in seconds. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(pause)


class Follower:
    """A process that keeps a file, measured from outside."""

    def __init__(self, name: str, process: psutil.Process, out: Path, began: float) -> None:
        self.name = name
        self.process = process
        self.out = out
        self.began = began

    def first_file(self, lines: int, *, seconds: float = 120.0) -> float:
        """Wait until the file has `lines` lines; the seconds since the process was started.

        Whoever looks ten thousand times a second takes a fifth of a core from those who are measured: here it is 500.
        """
        wait_until(
            lambda: self.out.exists() and self.out.read_bytes().count(b"\n") >= lines,
            seconds=seconds,
            what=self.name,
            pause=0.002,
        )
        return time.perf_counter() - self.began

    def cpu(self) -> float:
        """Seconds of CPU used so far, all threads."""
        return sum(self.process.cpu_times()[:2])

    def stop(self) -> None:
        """End it before the benchmark does."""
        self.process.terminate()
        self.process.wait(10)

    def resident_mb(self) -> float:
        """Memory of the process."""
        return round(self.process.memory_info().rss / 1e6, 1)

    def sockets(self) -> int:
        """TCP connections that are established."""
        return sum(c.status == psutil.CONN_ESTABLISHED for c in self.process.net_connections("tcp"))

    def timed(self, changes: Iterator[tuple[Callable[[], object], Callable[[bytes], bool]]], *, pause: float) -> Times:
        """Make each change and time it from its answer until the file holds it."""
        took: list[float] = []
        cpu = self.cpu()
        for change, holds in changes:
            change()
            began, seen = time.perf_counter(), 0
            while True:
                stamp = self.out.stat().st_mtime_ns
                if stamp != seen:
                    seen = stamp
                    if holds(self.out.read_bytes()):
                        break
                if time.perf_counter() - began > 60:
                    raise TimeoutError("a change never came to the file")
                time.sleep(0.0002)
            took.append(time.perf_counter() - began)
            time.sleep(pause)
        return Times(took, self.cpu() - cpu)


class Times:
    """How long each of some changes took, and what they cost."""

    def __init__(self, took: Sequence[float], cpu: float) -> None:
        self.took = took
        self.cpu = cpu

    def figures(self) -> dict[str, float]:
        """In milliseconds."""
        cuts = statistics.quantiles(self.took, n=100)
        return {
            "p50_ms": round(cuts[49] * 1e3, 2),
            "p90_ms": round(cuts[89] * 1e3, 2),
            "p99_ms": round(cuts[98] * 1e3, 2),
            "cpu_ms_a_change": round(self.cpu / len(self.took) * 1e3, 2),
        }
