"""`ctemplate release SERVICE`: asks the daemon to let through what it holds of a service, and shows its answer.

Where only runs with `-once` use the state directory, the next of them does it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ctemplate import requests
from ctemplate.observe.status import Status
from ctemplate.state import REQUESTS, locate, read_status

ANSWER_SECONDS = 10.0


def release(service: str, state_dir: Path | None, *, environ: Mapping[str, str]) -> int:
    """Ask for it and return the exit code: 0 it is released, or will be by the next run; 1 nothing came of it."""
    path = locate(state_dir, environ)
    places = (path,) if state_dir is not None else (path, path / "once")
    found = [(place, pid, [h.service for h in status.holds]) for place in places for status, pid in _statuses(place)]
    holding = [(place, pid) for place, pid, held in found if service in held]
    if not holding:
        others = sorted({name for _, _, held in found for name in held})
        _say(f"nothing of {service} is held in {path}" + (f"; held: {', '.join(others)}" if others else ""))
        return 1
    return max(_ask(service, place, pid) for place, pid in holding)


def _statuses(path: Path) -> Iterator[tuple[Status, int]]:
    raw, pid = read_status(path)
    try:
        if raw is not None:
            yield msgspec.json.decode(raw, type=Status), pid
    except msgspec.DecodeError:
        _say(f"{path}/status.json is of another version or damaged")


def _ask(service: str, place: Path, pid: int) -> int:
    try:
        request = requests.leave(place / REQUESTS, requests.Request(service))
    except OSError as error:
        _say(f"cannot ask in {place}: {error.strerror}")
        return 1
    if not pid:
        print(f"no ctemplate runs in {place}: its next run releases {service}")  # noqa: T201 - its output
        return 0
    answer = requests.wait_for_answer(request, seconds=ANSWER_SECONDS)
    if answer is None:
        _say(f"process {pid} did not answer within {ANSWER_SECONDS:.0f} s; nothing is released")
        return 1
    print(answer)  # noqa: T201 - its output
    return 0


def _say(text: str) -> None:
    print(f"ctemplate: {text}", file=sys.stderr)  # noqa: T201 - its output
