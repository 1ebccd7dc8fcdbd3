"""Docker, `register`, Consul, ctemplate and nginx together, by the script behind `make demo`: no request fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHAIN = Path(__file__).parents[2] / "demo/chain.py"
PROGRAMS = ("dockerd", "busybox", "nginx", "wrk", "ip", "consul")

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def chain(require, tmp_path):
    """`chain(*flags)`: the script's exit code and what it printed."""
    if os.geteuid() != 0:
        pytest.skip("a Docker engine can only be started by root")
    places = {str(Path(require(program)).parent) for program in PROGRAMS}

    def run(*flags: str) -> tuple[int, str, str]:
        environment = {**os.environ, "PATH": os.pathsep.join([os.environ["PATH"], *sorted(places)])}
        # Not in the source tree: the installed package is under test.
        command = [sys.executable, str(CHAIN), *flags]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.mark.torture
def test_containers_that_start_and_are_killed_at_random_cost_no_request(chain, torture, figure):
    code, out, err = chain("--storm", "60" if torture else "20", "--seed", "7")
    assert code == 0, out + err
    found = json.loads(out)
    assert found["changes"] > 3
    for name in ("changes", "agent equal after, s", "file equal after, s", "served", "failed"):
        figure(f"storm of containers: {name}", found[name])


@pytest.mark.torture
@pytest.mark.parametrize("catalog", ["docker", "consul"])
def test_an_engine_that_dies_freezes_or_restarts_takes_no_server_out_of_the_file(chain, catalog, torture, figure):
    """The containers go on meanwhile (`live-restore`), and so does the load; with Consul `register` dies too."""
    if catalog == "consul" and not torture:
        pytest.skip("the sample is the catalog that has nothing between")
    code, out, err = chain("--storm", "60" if torture else "1", "--trouble", "--catalog", catalog)
    assert code == 0, out + err
    figure(f"engine killed, frozen, restarted ({catalog}): requests served", json.loads(out)["served"])
    figure(f"engine killed, frozen, restarted ({catalog}): requests failed", json.loads(out)["failed"])


@pytest.mark.torture
def test_the_demo_prints_what_each_step_took(chain, torture):
    code, out, err = chain("--changes", "8" if torture else "1", *([] if torture else ["--catalog", "docker"]))
    assert code == 0, out + err
    assert re.search(r"^container w4  started +[0-9]+ ms", out, re.MULTILINE)
    assert "failed: 0" in out
