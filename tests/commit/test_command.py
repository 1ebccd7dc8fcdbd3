"""A command ends at its end, at its deadline or on demand, and nothing that it does changes that."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from ctemplate.changes import Command
from ctemplate.commit.command import OUTPUT_BYTES, OUTPUT_LINES, run


def sh(line: str, *, timeout: float = 20.0) -> Command:
    return Command(line=line, timeout=timeout)


def gone(pid_file: Path) -> bool:
    """The process that wrote its id there has ended."""
    pid = int(pid_file.read_text())
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_command_that_succeeds_has_no_reason() -> None:
    result = run(sh("true"))
    assert (result.code, result.reason, result.output) == (0, "", "")


def test_a_failing_command_is_told_with_its_code_and_both_its_outputs() -> None:
    result = run(sh("echo out; echo err >&2; exit 3"))
    assert (result.code, result.reason, result.output) == (3, "exit 3", "out\nerr")


def test_a_signal_that_ends_it_is_named() -> None:
    result = run(sh("kill -SEGV $$"))
    assert (result.code, result.reason) == (-11, "ended by SIGSEGV")


def test_text_is_read_by_the_shell() -> None:
    assert run(sh("printf '%s' a | tr a b && true")).output == "b"


def test_a_list_of_arguments_is_read_by_no_shell() -> None:
    assert run(Command(line=("echo", "$HOME;", "a  b"))).output == "$HOME; a  b"


def test_a_program_that_does_not_exist_is_named() -> None:
    result = run(Command(line=("no-such-program", "x")))
    assert (result.code, result.reason) == (127, "not found: no-such-program")


def test_a_file_that_cannot_be_executed_is_named(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("text")
    result = run(Command(line=(str(tmp_path / "plain"),)))
    assert result.code == 126
    assert "plain" in result.reason


@pytest.mark.parametrize("line", ["echo told", ("echo", "told")])
def test_a_prefix_goes_before_shell_and_arguments_alike(line: str | tuple[str, ...]) -> None:
    assert run(Command(line=line), prefix=("env", "A=b")).output == "told"


def test_sbin_directories_are_on_the_path_behind_what_is_there() -> None:
    assert run(sh("echo $PATH"), env={"PATH": "/usr/sbin:/bin"}).output == "/usr/sbin:/bin:/usr/local/sbin:/sbin"


def test_the_environment_is_that_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTEMPLATE_TEST_VALUE", "inherited")
    assert run(sh("echo $CTEMPLATE_TEST_VALUE")).output == "inherited"


def test_standard_input_is_empty() -> None:
    assert run(sh("cat; echo end")).output == "end"


def test_a_command_is_killed_at_its_deadline_and_keeps_its_last_words() -> None:
    result = run(sh("echo before; sleep 60", timeout=1))
    assert (result.code, result.reason, result.output) == (None, "killed after 1 s", "before")


def test_a_command_that_ignores_sigterm_is_killed_all_the_same() -> None:
    result = run(sh("trap '' TERM; while :; do sleep 1; done", timeout=1))
    assert result.code is None


def test_a_command_may_clean_up_when_it_is_killed(tmp_path: Path) -> None:
    line = f"trap 'echo cleaned; rm {tmp_path}/lock; exit' TERM; touch {tmp_path}/lock; while :; do sleep 0.01; done"
    result = run(sh(line, timeout=1))
    assert result.code is None
    assert result.output.endswith("cleaned")
    assert not (tmp_path / "lock").exists()


def test_what_a_killed_command_started_is_killed_with_it(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    run(sh(f"sh -c 'echo $$ > {tmp_path}/pid; sleep 60' & wait", timeout=2))
    eventually(lambda: gone(tmp_path / "pid"))


def test_what_a_command_leaves_in_the_background_is_not_waited_for_and_not_killed(tmp_path: Path) -> None:
    result = run(sh(f"sleep 60 & echo $! > {tmp_path}/pid; echo done"))
    assert (result.code, result.output) == (0, "done")
    assert not gone(tmp_path / "pid")
    os.kill(int((tmp_path / "pid").read_text()), 9)


def test_a_process_that_left_the_group_with_the_output_open_delays_no_deadline(tmp_path: Path) -> None:
    result = run(sh(f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 60' & sleep 60", timeout=2))
    assert result.code is None
    assert not gone(tmp_path / "pid")
    os.kill(int((tmp_path / "pid").read_text()), 9)


def test_a_command_that_closes_its_output_is_still_waited_for(tmp_path: Path) -> None:
    assert run(sh(f"exec >&- 2>&-; sleep 0.2; touch {tmp_path}/end")).code == 0
    assert (tmp_path / "end").exists()


def test_only_the_last_lines_are_kept() -> None:
    result = run(sh("seq 1 100000"))
    lines = result.output.splitlines()
    assert len(lines) == OUTPUT_LINES
    assert lines[-1] == "100000"


def test_a_flood_without_a_line_end_is_bounded() -> None:
    result = run(sh("head -c 100000000 /dev/zero | tr '\\0' a"))
    assert result.code == 0
    assert len(result.output) == OUTPUT_BYTES


def test_a_line_whose_beginning_is_lost_is_left_out() -> None:
    result = run(sh("head -c 100000 /dev/zero | tr '\\0' a; echo; echo whole"))
    assert result.output == "whole"


def test_control_characters_do_not_reach_the_log() -> None:
    assert run(sh(r"printf 'a\033[31mb\001\n\tc\377'")).output == "a?[31mb?\n\tc\ufffd"


def test_cancelling_kills_it() -> None:
    cancel = threading.Event()
    threading.Timer(0.1, cancel.set).start()
    result = run(sh("sleep 60"), cancel=cancel)
    assert result.code is None
    assert result.reason.startswith("killed on demand after")


def test_cancelling_kills_it_though_its_output_is_closed() -> None:
    cancel = threading.Event()
    threading.Timer(0.1, cancel.set).start()
    assert run(sh("exec >&- 2>&-; sleep 60"), cancel=cancel).code is None


def test_no_descriptor_is_left_open() -> None:
    before = psutil.Process().num_fds()
    for _ in range(3):
        run(sh("echo x"))
        run(sh("sleep 9", timeout=0.01))
        run(Command(line=("no-such-program",)))
    assert psutil.Process().num_fds() == before
