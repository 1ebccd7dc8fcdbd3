"""Whether a process is there, has ended, or cannot be told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from ctemplate.commit.reload.alive import exists, has_ended


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process


def test_one_that_runs_has_not_ended(child: subprocess.Popen[bytes]) -> None:
    assert exists(child.pid)
    assert not has_ended(child.pid)


def test_a_zombie_is_there_and_has_ended(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert exists(child.pid)
    assert has_ended(child.pid)


def test_one_that_was_reaped_has_ended(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    assert not exists(child.pid)
    assert has_ended(child.pid)


def test_one_that_is_hidden_is_not_known_to_have_ended(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """psutil says of a process behind `hidepid` that there is none."""

    def hidden(pid: int) -> psutil.Process:
        raise psutil.NoSuchProcess(pid)

    monkeypatch.setattr(psutil, "Process", hidden)
    assert not has_ended(child.pid)
