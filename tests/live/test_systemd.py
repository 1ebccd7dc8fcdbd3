"""The unit is one that systemd takes, as closed as its page says, and leaves ctemplate what it needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd/ctemplate.service"
UNITS = sorted((ROOT / "systemd").glob("*.service"))


@pytest.fixture
def unit(request, tmp_path) -> Path:
    """A unit with its programs where they are installed here; a container may have no `kill` but the shell's."""
    installed = Path(sys.executable).with_name("ctemplate")
    source = getattr(request, "param", UNIT)
    text = source.read_text().replace("/usr/local/bin/ctemplate", str(installed))
    text = text.replace("/bin/kill", shutil.which("kill") or shutil.which("true"))
    (tmp_path / "unit").mkdir()
    copy = tmp_path / "unit" / source.name
    copy.write_text(text)
    return copy


@pytest.mark.parametrize("unit", UNITS, indirect=True, ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong_with_the_unit(require, unit):
    command = [require("systemd-analyze"), "verify", "--recursive-errors=no", unit]

    done = subprocess.run(command, capture_output=True, text=True, timeout=30)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_score_is_the_one_in_the_docs(require, unit):
    command = [require("systemd-analyze"), "security", "--offline=true", "--no-pager", unit]

    text = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout

    score = re.search(r"exposure level for ctemplate.service: ([0-9.]+)", text)
    assert score is not None
    assert f"**{score[1]}**" in (ROOT / "docs/systemd.md").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give capabilities away")
def test_the_unit_leaves_the_capabilities_for_check_reload_and_proof(require, ctemplate, make_nginx, tmp_path):
    """A whole commit under the unit's bounding set: the check in its namespace, and the proof by new workers."""
    nginx = make_nginx()
    nginx.start()
    before = nginx.workers()
    named = re.search(r"^CapabilityBoundingSet=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert named is not None
    kept = ",".join("+" + name.removeprefix("CAP_").lower() for name in named[1].split())
    (tmp_path / "services.yaml").write_text("services: {}")
    (tmp_path / "app.conf.j2").write_text(f"server {{ listen 127.0.0.1:{nginx.port}; return 200 new; }}\n")
    template = f"{tmp_path}/app.conf.j2:{nginx.conf_d}/app.conf:{nginx.reload_command}"
    arguments = ["-once", "-catalog", f"file:{tmp_path}/services.yaml", "-template", template]
    confined = [require("setpriv"), f"--bounding-set=-all,{kept}", "--inh-caps=-all", "--no-new-privs"]

    done = subprocess.run(
        [*confined, str(ctemplate.command), *arguments, "-state-dir", str(ctemplate.state_dir)],
        capture_output=True, text=True, timeout=50,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "checked by mount namespace" in done.stderr, done.stderr
    assert "proof: new workers" in done.stderr, done.stderr
    assert not nginx.workers() & before
    assert nginx.get() == (200, "new")
