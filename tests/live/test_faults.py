"""One fault of the machine at a time, in `-once` beside a real nginx: the rows of docs/faults.md.

What is on disk, what nginx serves, what the log and `ctemplate status` say, and the exit code. Where a call of
the kernel fails at any moment of a commit is `crash/test_errors.py`'s.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
JUMPING = """
import random, sys, time
real = time.time
time.time = lambda: real() + random.choice((-1, 1)) * 86400 * 400
from ctemplate.cli import main
sys.argv = sys.argv[1:]
main()
"""
"""The command in a process whose wall clock is more than a year off, now this way and now that."""


@dataclass
class Scene:
    """An nginx that serves one word out of one file, and a `-once` that is to make it another word."""

    nginx: Any
    launcher: Any
    directory: Path
    mounted: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.conf_d = self.nginx.conf_d
        self.conf = self.conf_d / "app.conf"
        self.source = self.directory / "t.j2"
        self.config = self.directory / "ctemplate.toml"
        (self.directory / "services.yaml").write_text("services: {}\n")
        self.text = 'server {{ listen 127.0.0.1:{port}; return 200 "{word}"; }}\n'

    def words(self, word: str) -> str:
        return self.text.format(port=self.nginx.port, word=word)

    def mount(self, place: Path, *options: str) -> None:
        subprocess.run(["mount", *options, place], check=True)
        self.mounted.append(place)

    def fill(self, place: Path) -> None:
        """Leave no room at all."""
        with (place / "filler").open("wb", buffering=0) as filler:
            try:
                while filler.write(b"x" * 4096):
                    pass
            except OSError:
                return

    def once(self, word: str = "new", *, command: str = "", check: str | None = None, timeout: str = "30s") -> Any:
        """Write the configuration for this word and commit it."""
        self.source.write_text(self.words(word))
        lines = [f"catalog = 'file:{self.directory}/services.yaml'", "[[template]]", f"source = '{self.source}'"]
        lines += [f"destination = '{self.conf}'", f"command = '''{command or self.nginx.reload_command}'''"]
        lines += [f"command_timeout = '{timeout}'", *([] if check is None else [f"check = '''{check}'''"])]
        self.config.write_text("\n".join(lines) + "\n")
        return self.launcher.run("-once", "-config", self.config, timeout=50)

    @property
    def served(self) -> str:
        return str(self.nginx.get()[1])

    @property
    def on_disk(self) -> str:
        found = re.search(r'"(\w*)"', self.conf.read_text()) if self.conf.exists() else None
        return found[1] if found else ""

    @property
    def hidden(self) -> list[str]:
        return [path.name for path in self.conf_d.iterdir() if path.name.startswith(".")]

    def status(self) -> str:
        return str(self.launcher.run("status").out)

    def holds(self, done: Any, *, code: int, word: str, says: str, state: str) -> None:
        """See a whole row of the table: the same word on disk and served, nothing beside it."""
        seen = (done.code, self.on_disk, self.served, self.hidden)
        assert seen == (code, word, word, []), done.err
        assert re.search(says, done.err), done.err
        status = self.status()
        assert re.search(rf"app\.conf .* {state} ", status), status


@pytest.fixture
def scene(make_nginx: Callable[..., Any], ctemplate: Any, tmp_path: Path) -> Iterator[Scene]:
    nginx = make_nginx()
    made = Scene(nginx, ctemplate, tmp_path)
    made.conf.write_text(made.words("old"))
    nginx.start()
    yield made
    for place in reversed(made.mounted):
        subprocess.run(["umount", "-l", place], check=True)


# Disks


@as_root
def test_a_full_disk_below_the_destination_rejects_and_runs_nothing(scene: Scene) -> None:
    scene.mount(scene.conf_d, "-t", "tmpfs", "-o", "size=64k", "tmpfs")
    scene.conf.write_text(scene.words("old"))
    scene.fill(scene.conf_d)
    ran = scene.directory / "ran"
    scene.holds(scene.once(command=f"touch {ran}"), code=4, word="old", says="stage: .*No space left", state="rejected")
    assert not ran.exists()


@as_root
def test_a_full_disk_below_the_state_directory_rejects_before_anything_is_live(scene: Scene) -> None:
    state = scene.launcher.state_dir
    for directory in ("journal", "rejected", "requests"):
        (state / directory).mkdir(parents=True)
    scene.mount(state / "journal", "-t", "tmpfs", "-o", "size=16k", "tmpfs")
    scene.fill(state / "journal")
    scene.holds(scene.once(), code=4, word="old", says="swap: the journal in .*No space left", state="rejected")


@as_root
def test_a_read_only_disk_below_the_destination_rejects(scene: Scene) -> None:
    scene.mount(scene.conf_d, "--bind", str(scene.conf_d))
    subprocess.run(["mount", "-o", "remount,ro,bind", scene.conf_d], check=True)
    scene.holds(scene.once(), code=4, word="old", says="stage: .*Read-only file system", state="rejected")


@as_root
def test_a_read_only_state_directory_is_a_clear_error_and_touches_nothing(scene: Scene) -> None:
    state = scene.launcher.state_dir
    state.mkdir()
    scene.mount(state, "--bind", str(state))
    subprocess.run(["mount", "-o", "remount,ro,bind", state], check=True)
    done = scene.once()
    assert (done.code, scene.on_disk, scene.served) == (2, "old", "old"), done.err
    assert re.search(r"the state directory .* cannot be used: Read-only file system", done.err), done.err


@as_root
def test_a_state_directory_that_turned_read_only_is_a_clear_error_too(scene: Scene) -> None:
    assert scene.once("old", command="true").code == 0
    state = scene.launcher.state_dir
    scene.mount(state, "--bind", str(state))
    subprocess.run(["mount", "-o", "remount,ro,bind", state], check=True)
    done = scene.once()
    assert (done.code, scene.on_disk, scene.served) == (2, "old", "old"), done.err
    assert re.search(r"the state directory .* cannot be used: Read-only file system", done.err), done.err
    assert "Traceback" not in done.err


def test_a_state_directory_that_was_lost_is_made_anew_and_the_commit_goes_on(scene: Scene) -> None:
    scene.launcher.state_dir.mkdir()
    scene.launcher.state_dir.rmdir()
    scene.holds(scene.once(), code=0, word="new", says="committed", state="committed")


def killed_in_the_reload(scene: Scene) -> Path:
    """Let a commit die after its file is in place and before nginx was told; returns its journal."""
    once = scene.directory / "once"
    deadly = f"[ -e {once} ] || {{ touch {once}; kill -9 $PPID; sleep 5; }}; {scene.nginx.reload_command}"
    assert scene.once(command=deadly).code == -signal.SIGKILL
    assert (scene.on_disk, scene.served) == ("new", "old")
    (journal,) = (scene.launcher.state_dir / "journal").iterdir()
    return journal


def test_a_state_directory_that_is_lost_with_a_commit_in_it_is_not_passed_over_in_silence(scene: Scene) -> None:
    killed_in_the_reload(scene)
    shutil.rmtree(scene.launcher.state_dir)
    done = scene.once()
    assert (done.code, scene.on_disk, scene.hidden) == (0, "new", []), done.err
    assert re.search(r"no journal speaks of.*reload it by hand", done.err), done.err


@pytest.mark.parametrize("damage", ["another version", "cut off"])
def test_a_journal_that_cannot_be_trusted_is_kept_with_the_old_file_for_a_person(scene: Scene, damage: str) -> None:
    journal = killed_in_the_reload(scene)
    raw = journal.read_bytes()
    journal.write_bytes(raw.replace(b" 1 ", b" 99 ", 1) if damage == "another version" else raw[:-20])
    done = scene.once()
    assert (done.code, scene.on_disk) == (0, "new"), done.err
    assert re.search(r"journal/.*set-aside-1 is not acted on, because .*reload by hand", done.err), done.err
    assert [name.endswith("-old") for name in scene.hidden] == [True]


def test_what_a_person_mended_after_a_crash_is_left_alone_by_the_undoing(scene: Scene) -> None:
    killed_in_the_reload(scene)
    scene.conf.write_text(scene.words("mended"))
    scene.source.write_text('{{ key("none") }}')  # nothing to commit: what the start does with the journal is all
    done = scene.launcher.run("-once", "-timeout", "1s", "-config", scene.config)
    assert (done.code, scene.on_disk) == (3, "mended"), done.err
    kept = re.search(
        r"written by somebody else .* left alone; what stood there before the commit is kept as (.*)", done.err
    )
    assert kept, done.err
    assert Path(kept[1]).read_text() == scene.words("old")


@as_root
def test_no_room_where_a_file_has_to_be_written_in_place_leaves_it_as_it_was(scene: Scene) -> None:
    small = scene.directory / "small"
    small.mkdir()
    scene.mount(small, "-t", "tmpfs", "-o", "size=16k", "tmpfs")
    (small / "app.conf").write_text(scene.words("old"))
    scene.mount(scene.conf, "--bind", str(small / "app.conf"))
    scene.fill(small)
    scene.text += "# more than there is room for\n" * 2_000
    scene.holds(scene.once(), code=4, word="old", says="swap: .*No space left", state="rolled back")


def test_a_destination_directory_that_is_gone_rejects_with_what_to_do(scene: Scene) -> None:
    scene.conf.unlink()
    scene.conf_d.rmdir()
    done = scene.once()
    assert (done.code, scene.on_disk, scene.served) == (4, "", "old"), done.err
    assert "make it, or set create_dirs" in done.err
    assert "rejected" in scene.status()


@as_root
def test_a_destination_directory_that_is_removed_in_the_check_rejects(scene: Scene) -> None:
    remove = f"nsenter --target $PPID --mount rm -rf {scene.conf_d}"
    done = scene.once(check=remove, command="true")
    assert (done.code, scene.on_disk, scene.served) == (4, "", "old"), done.err
    assert "was changed by somebody else during the check" in done.err


def test_a_destination_directory_that_is_removed_in_the_reload_is_not_made_again(scene: Scene) -> None:
    once = scene.directory / "once"
    done = scene.once(command=f"[ -e {once} ] || {{ touch {once}; rm -rf {scene.conf_d}; exit 1; }}", check="true")
    assert (done.code, scene.on_disk, scene.served) == (4, "", "old"), done.err
    assert "is left alone" in done.err


# Commands

HANGS = "sleep 300"
FLOODS = "head -c 100000000 /dev/zero | tr '\\\\0' x; echo the last word; exit 1"
LEAVES_A_CHILD = "sleep 300 & echo the last word; exit 1"
KILLS_ITSELF = "kill -9 $$"
COMMANDS = pytest.mark.parametrize(
    ("line", "says"),
    [
        (HANGS, "killed after 1 s"),
        (FLOODS, "the last word"),
        (LEAVES_A_CHILD, "exit 1.*the last word"),
        (KILLS_ITSELF, "ended by SIGKILL"),
    ],
    ids=["hangs", "prints 100 MB", "leaves a child with the pipe", "kills itself"],
)


MEASURED = """
import pathlib, resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
pathlib.Path(sys.argv[1]).write_text(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""
"""Runs a command and writes down how large it, or what it started, became: not what other tests had started before."""


@COMMANDS
def test_a_check_that_misbehaves_rejects(scene: Scene, line: str, says: str) -> None:
    timeout = "1s" if line is HANGS else "30s"
    report = scene.directory / "largest"
    scene.launcher.prefix = (sys.executable, "-c", MEASURED, str(report))
    done = scene.once(check=line, timeout=timeout)
    scene.launcher.prefix = ()
    scene.holds(done, code=4, word="old", says=f"(?s){says}", state="rejected")
    assert int(report.read_text()) < 300_000, "KiB: what is printed is not kept"


@COMMANDS
def test_a_reload_that_misbehaves_once_is_rolled_back(scene: Scene, line: str, says: str) -> None:
    once = scene.directory / "once"
    done = scene.once(command=f"[ -e {once} ] || {{ touch {once}; {line}; }}", timeout="1s" if line is HANGS else "30s")
    scene.holds(done, code=4, word="old", says=f"(?s){says}", state="rolled back")


def test_a_reload_that_misbehaves_always_is_broken_and_keeps_what_undoing_takes(scene: Scene) -> None:
    done = scene.once(command="exit 3")
    assert (done.code, scene.on_disk, scene.served) == (6, "old", "old"), done.err
    assert "BROKEN" in done.err
    assert list((scene.launcher.state_dir / "journal").iterdir())
    assert re.search(r"app\.conf .* broken ", scene.status())


# Signals and clocks


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("where", ["check", "reload"])
def test_a_signal_in_a_step_lets_the_commit_end(scene: Scene, where: str, number: signal.Signals) -> None:
    told = scene.directory / "told"  # an unknown check is run twice, and a second signal means another thing
    tell = f"[ -e {told} ] || {{ touch {told}; kill -{number.value} $PPID; sleep 0.2; }}"
    how = {"check": tell, "command": "true"} if where == "check" else {"check": "true", "command": tell}
    done = scene.once(**how)
    assert (done.code, scene.on_disk, scene.hidden) == (0, "new", []), done.err


def test_a_wall_clock_that_jumps_changes_nothing(scene: Scene) -> None:
    scene.once("old")
    scene.source.write_text(scene.words("new"))
    words = [sys.executable, "-c", JUMPING, "ctemplate", "-once", "-config", str(scene.config)]
    words += ["-state-dir", str(scene.launcher.state_dir)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=50, cwd=scene.directory)
    assert (done.returncode, scene.on_disk, scene.served) == (0, "new", "new"), done.stderr
    assert "proof: new workers" in done.stderr


# nginx


def test_an_nginx_that_is_being_upgraded_in_place_is_not_reloaded(
    make_nginx: Callable[..., Any], ctemplate: Any, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    nginx = make_nginx(daemon=True)
    scene = Scene(nginx, ctemplate, tmp_path)
    scene.conf.write_text(scene.words("old"))
    nginx.start()
    old = nginx.pid
    os.kill(old, signal.SIGUSR2)
    eventually(lambda: nginx.pid not in (0, old))
    try:
        done = scene.once()
        scene.holds(done, code=4, word="old", says="stage: nginx is being upgraded in place", state="rejected")
    finally:
        os.kill(old, signal.SIGTERM)
    eventually(lambda: not Path(f"{nginx.pid_file}.oldbin").exists())
    scene.holds(scene.once(), code=0, word="new", says="proof: new workers", state="committed")


def test_a_master_that_is_killed_during_the_reload_is_not_taken_for_a_good_end(scene: Scene) -> None:
    """Its pid file stays, and so nothing is there that could be reloaded for the old file either."""
    wrapper, orphans = scene.directory / "nginx", scene.directory / "orphans"
    wrapper.write_text(
        f'#!/bin/sh\n{scene.nginx.binary} "$@" || exit\n'
        f'case "$*" in *reload*) master=$(cat {scene.nginx.pid_file}); kill -STOP "$master"\n'
        f'cat "/proc/$master/task/$master/children" > {orphans}; kill -9 "$master";; esac\n'
    )
    wrapper.chmod(0o755)
    done = scene.once(command=scene.nginx.reload_command.replace(scene.nginx.binary, str(wrapper)))
    for worker in orphans.read_text().split():  # old ones, and new ones if it came as far as that
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(worker), signal.SIGTERM)
    assert (done.code, scene.on_disk) == (4, "old"), done.err
    assert re.search(r"rolled back .* verify: .*the master process \d+ ended", done.err), done.err


@pytest.mark.torture(only=True)
def test_a_check_that_takes_ten_seconds_is_waited_for(scene: Scene) -> None:
    check = f"sleep 10; exec {' '.join(scene.nginx.command('-t'))}"
    scene.holds(scene.once(check=check), code=0, word="new", says="proof: new workers", state="committed")
