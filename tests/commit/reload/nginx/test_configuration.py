"""What is read of an nginx configuration: its main context, by nginx's own grammar."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ctemplate.commit.reload.nginx.configuration import STDERR, Built, Configuration, read
from ctemplate.commit.reload.nginx.options import Options


def of(tmp_path: Path, text: str, *, instance: tuple[str, ...] = ()) -> Configuration:
    (tmp_path / "nginx.conf").write_text(text)
    defaults = Built(
        prefix=str(tmp_path), conf_path="nginx.conf", pid_path="/run/built.pid", error_log_path="built.log"
    )
    return read(Options(instance=instance), defaults)


def test_what_the_files_do_not_say_is_what_was_compiled_in(tmp_path: Path) -> None:
    found = of(tmp_path, "events {}")
    assert found.conf == tmp_path / "nginx.conf"
    assert found.pid_file == Path("/run/built.pid")
    assert found.error_logs == (tmp_path / "built.log",)
    assert (found.workers, found.master) == (1, True)


def test_relative_paths_are_below_the_prefix(tmp_path: Path) -> None:
    text = "pid p/x.pid; error_log l/e.log warn; error_log /abs.log;"
    found = of(tmp_path, text, instance=("-p", "/other", "-c", f"{tmp_path}/nginx.conf"))
    assert found.pid_file == Path("/other/p/x.pid")
    assert found.error_logs == (Path("/other/l/e.log"), Path("/abs.log"))


def test_only_the_main_context_counts(tmp_path: Path) -> None:
    text = """
    # pid /comment.pid;
    http { server { error_log /inner.log; location ~ "^/a{2}" { return 200 "pid /s.pid; }"; } } }
    map $a $b { default "}"; ${c}x 1; }
    pid /after.pid; # the last word
    """
    found = of(tmp_path, text)
    assert found.pid_file == Path("/after.pid")
    assert found.error_logs == (tmp_path / "built.log",)


@pytest.mark.parametrize("written", ['"/a b/n.pid"', "'/a b/n.pid'", r"/a\ b/n.pid"])
def test_a_path_may_be_quoted(tmp_path: Path, written: str) -> None:
    assert of(tmp_path, f"pid {written};").pid_file == Path("/a b/n.pid")


def test_included_files_count_where_they_are_included(tmp_path: Path) -> None:
    (tmp_path / "main.d").mkdir()
    (tmp_path / "main.d/a.conf").write_text("worker_processes 7; include more.conf;")
    (tmp_path / "more.conf").write_text("pid /more.pid;")
    found = of(tmp_path, "include main.d/*.conf; include missing/*.conf; events {}")
    assert (found.workers, found.pid_file) == (7, Path("/more.pid"))


def test_a_file_that_includes_itself_ends(tmp_path: Path) -> None:
    assert of(tmp_path, "include nginx.conf; pid /x.pid;").pid_file == Path("/x.pid")


def test_directives_of_the_command_line_count(tmp_path: Path) -> None:
    found = of(tmp_path, "events {}", instance=("-g", "worker_processes 3; pid /g.pid"))
    assert (found.workers, found.pid_file) == (3, Path("/g.pid"))


def test_auto_means_a_worker_for_each_processor(tmp_path: Path) -> None:
    assert of(tmp_path, "worker_processes auto;").workers == os.cpu_count()


def test_a_process_without_master_is_told(tmp_path: Path) -> None:
    assert not of(tmp_path, "master_process off;").master


def test_standard_error_and_syslog_are_no_files_of_ours(tmp_path: Path) -> None:
    assert of(tmp_path, "error_log stderr; error_log syslog:server=x; error_log memory:1m;").error_logs == (STDERR,)


def test_files_that_cannot_be_read_leave_the_number_of_workers_unknown(tmp_path: Path) -> None:
    found = read(Options(), Built(prefix=str(tmp_path), pid_path="/run/x.pid"))
    assert (found.workers, found.pid_file) == (None, Path("/run/x.pid"))
