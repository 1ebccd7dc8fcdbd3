"""When a change is committed: at once after calm, else when the cooldown or `-wait` says so; the last one always."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

TEMPLATE = '{% for i in service("web") %}server {{ i.endpoint }};\n{% endfor %}'


class Job:
    """A template over one service of a real Consul, and a command that leaves a mark each time it runs."""

    def __init__(self, directory: Path, consul, launcher) -> None:
        self.consul = consul
        self.launcher = launcher
        self.template = directory / "t.j2"
        self.template.write_text(TEMPLATE)
        self.out = directory / "out.conf"
        self.ran = directory / "ran"

    def start(self, *more: str):
        self.set_port(1)
        pair = f"{self.template}:{self.out}:echo >> {self.ran}"
        running = self.launcher("-consul-addr", self.consul.address, "-template", pair, *more)
        running.wait_for("committed")
        return running

    def set_port(self, port: int) -> None:
        self.consul.register("web", id="web-1", address="127.0.0.1", port=port)

    def storm(self, *, seconds: float, first: int = 100) -> int:
        """Change the service over and over; returns the last port."""
        until = time.monotonic() + seconds
        port = first
        while time.monotonic() < until:
            port += 1
            self.set_port(port)
        return port

    def holds(self, port: int) -> bool:
        return self.out.read_text() == f"server 127.0.0.1:{port};\n"

    @property
    def runs(self) -> int:
        return len(self.ran.read_text().splitlines())


@pytest.fixture
def job(tmp_path: Path, consul, ctemplate):
    return Job(tmp_path, consul, ctemplate)


def test_a_storm_is_one_reload_a_cooldown_and_its_last_state_is_never_dropped(job: Job):
    running = job.start()
    began = time.monotonic()
    last = job.storm(seconds=4)
    running.eventually(lambda: job.holds(last))
    running.eventually(lambda: job.runs > 1)
    cooldowns = (time.monotonic() - began) / 2.0
    assert last > 110  # it was a storm
    assert job.runs <= 2 + cooldowns


def test_files_of_one_group_that_change_together_are_one_commit(job: Job, tmp_path: Path):
    other = tmp_path / "other.conf"
    running = job.start("-template", f"{job.template}:{other}:echo >> {job.ran}")
    running.eventually(other.exists)
    before = job.runs
    time.sleep(2.5)  # the cooldown is over: nothing but the group gathers the two
    job.set_port(11)
    running.eventually(lambda: job.runs > before)
    assert job.holds(11)
    assert other.read_text() == job.out.read_text()


def test_wait_gathers_what_changes_together_into_one_commit(job: Job):
    running = job.start("-wait", "1s:30s")
    before = job.runs
    for port in (11, 12, 13):
        job.set_port(port)
    running.eventually(lambda: job.holds(13))
    running.eventually(lambda: job.runs > before)
    assert job.runs == before + 1


def test_wait_commits_at_its_maximum_while_changes_do_not_end(job: Job):
    running = job.start("-wait", "900ms:1s")
    before = job.runs
    last = job.storm(seconds=3)
    assert job.runs > before  # during the storm, not after it
    running.eventually(lambda: job.holds(last))


def test_a_template_without_a_command_has_no_cooldown(job: Job):
    job.set_port(1)
    running = job.launcher("-consul-addr", job.consul.address, "-template", f"{job.template}:{job.out}")
    running.wait_for("committed")
    for port in range(50, 55):
        mark = running.mark()
        job.set_port(port)
        running.wait_for("committed", since=mark)
        assert job.holds(port)


def test_json_lines_say_what_changed_where_how_long_it_took_and_how_it_went(job: Job):
    running = job.start("-log-format", "json")
    mark = running.mark()
    job.consul.register("web", id="web-2", address="127.0.0.1", port=2)
    running.wait_for("CommitDone", since=mark)
    lines = [json.loads(line) for line in running.lines]
    rendered = [line for line in lines if line["event"] == "Rendered"][-1]
    assert (rendered["template"], rendered["why"], rendered["instances"]) == (str(job.out), "web +1", 2)
    done = [line for line in lines if line["event"] == "CommitDone"][-1]
    assert (done["templates"], done["proof"], done["level"]) == ([str(job.out)], "none", "info")
    assert done["seconds"] > 0
