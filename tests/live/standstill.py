"""A process that is stopped where it stands."""

from __future__ import annotations

import signal
import time

import psutil

STILL_SECONDS = 10.0


def pause(pid: int) -> None:
    """SIGSTOP, and wait until every thread stands: they take the signal one by one, some milliseconds later."""
    process = psutil.Process(pid)
    process.send_signal(signal.SIGSTOP)
    until = time.monotonic() + STILL_SECONDS
    while running := running_threads(pid):
        assert time.monotonic() < until, f"threads {running} of {process.name()} do not stop"
        time.sleep(0.001)


def running_threads(pid: int) -> list[int]:
    """The threads that are not stopped. One that ends meanwhile has stopped."""
    return [thread.id for thread in psutil.Process(pid).threads() if _status(thread.id) != psutil.STATUS_STOPPED]


def _status(thread: int) -> str:
    try:
        return psutil.Process(thread).status()
    except psutil.NoSuchProcess:
        return psutil.STATUS_STOPPED
