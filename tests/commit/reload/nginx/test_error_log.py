"""What the error log says from a moment on."""

from __future__ import annotations

from pathlib import Path

from ctemplate.commit.reload.nginx.error_log import ErrorLog

IN_USE = "bind() to 0.0.0.0:80 failed (98: Address already in use)"


def say(path: Path, text: str, *, level: str = "emerg", pid: int = 7, end: str = "\n") -> None:
    with path.open("a") as file:
        file.write(f"2026/11/24 00:22:10 [{level}] {pid}#{pid}: {text}{end}")


def test_only_what_was_said_since_counts(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    say(path, "an old fault")
    log = ErrorLog([path])
    say(path, "a new fault")
    say(path, "a new fault")
    say(path, "upstream timed out", level="error")
    log.read()
    assert log.words() == "a new fault"


def test_a_port_in_use_is_final_only_when_nginx_gave_up(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    log = ErrorLog([path])
    say(path, IN_USE)
    log.read()
    assert not log.gave_up(7)
    say(path, "still could not bind()")
    log.read()
    assert log.gave_up(7)
    assert log.words() == f"{IN_USE}; still could not bind()"


def test_a_port_that_may_not_be_bound_is_final_at_once(tmp_path: Path) -> None:
    log = ErrorLog([tmp_path / "error.log"])
    say(tmp_path / "error.log", "bind() to 0.0.0.0:80 failed (13: Permission denied)")
    log.read()
    assert log.gave_up(7)


def test_another_masters_fault_is_not_ours(tmp_path: Path) -> None:
    log = ErrorLog([tmp_path / "error.log"])
    say(tmp_path / "error.log", "a fault", pid=8)
    log.read()
    assert not log.gave_up(7)


def test_a_worker_that_cannot_be_started_again_is_final(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    log = ErrorLog([path])
    for worker in (11, 12):
        say(path, f"worker process {worker} exited with fatal code 2 and cannot be respawned", level="alert")
    log.read()
    assert log.gave_up(7)
    assert log.words() == "a worker process exited with fatal code 2 and cannot be respawned"


def test_a_line_that_is_not_finished_is_read_when_it_is(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    log = ErrorLog([path])
    say(path, "half", end="")
    log.read()
    assert log.words() == ""
    with path.open("a") as file:
        file.write(" and half\n")
    log.read()
    assert log.words() == "half and half"


def test_a_log_that_is_not_there_yet_says_nothing_until_it_is(tmp_path: Path) -> None:
    log = ErrorLog([tmp_path / "error.log"])
    log.read()
    say(tmp_path / "error.log", "a fault")
    log.read()
    assert log.words() == "a fault"


def test_a_storm_of_other_errors_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    log = ErrorLog([path])
    path.write_text("2026/11/24 00:22:10 [error] 9#9: *1 no live upstreams\n" * 60_000)
    say(path, "the last word")
    log.read()
    assert log.words() == "the last word"


def test_a_log_that_was_cut_is_read_on_from_there(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    say(path, "long ago " * 20)
    log = ErrorLog([path])
    path.write_text("")
    log.read()
    say(path, "after the cut")
    log.read()
    assert log.words() == "after the cut"
