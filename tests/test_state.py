from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ctemplate.errors import ConfigError, StateBusyError
from ctemplate.state import LAST_GOOD, DestinationLocks, State, locate, pid_file, read_last_good, read_status

HOLD = """
import sys
from pathlib import Path
from ctemplate.state import DestinationLocks, State
with State(Path(sys.argv[1])), DestinationLocks() as locks:
    locks.hold([Path(sys.argv[2])])
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_process(tmp_path: Path):
    """Another process that holds the state directory and one destination."""
    argv = [sys.executable, "-c", HOLD, str(tmp_path / "state"), str(tmp_path / "app.conf")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.stdin.close()


def test_a_second_process_on_a_state_directory_is_refused_with_the_firsts_process_id(other_process, tmp_path: Path):
    with pytest.raises(StateBusyError, match=str(other_process.pid)):
        State(tmp_path / "state")


def test_a_second_process_on_a_destination_is_refused_whatever_its_state_directory(other_process, tmp_path: Path):
    with DestinationLocks() as locks, pytest.raises(StateBusyError, match=str(other_process.pid)):
        locks.hold([tmp_path / "app.conf"])


def test_a_destination_is_the_file_behind_its_links(other_process, tmp_path: Path):
    (tmp_path / "link.conf").symlink_to("app.conf")
    with DestinationLocks() as locks, pytest.raises(StateBusyError):
        locks.hold([tmp_path / "link.conf"])


def test_a_refused_set_of_destinations_leaves_the_held_ones_held(other_process, tmp_path: Path):
    with DestinationLocks() as locks:
        locks.hold([tmp_path / "mine.conf"])
        with pytest.raises(StateBusyError):
            locks.hold([tmp_path / "new.conf", tmp_path / "app.conf"])
        with DestinationLocks() as others, pytest.raises(StateBusyError, match=str(os.getpid())):
            others.hold([tmp_path / "mine.conf"])
        with DestinationLocks() as others:
            others.hold([tmp_path / "new.conf"])


def test_a_destination_no_longer_wanted_is_free_for_others(tmp_path: Path):
    with DestinationLocks() as locks, DestinationLocks() as others:
        locks.hold([tmp_path / "a", tmp_path / "b"])
        locks.hold([tmp_path / "b"])
        others.hold([tmp_path / "a"])


def test_locks_end_with_their_process(other_process, tmp_path: Path):
    other_process.kill()
    other_process.wait()
    with State(tmp_path / "state"), DestinationLocks() as locks:
        locks.hold([tmp_path / "app.conf"])


def test_the_state_directory_is_for_its_owner_only(tmp_path: Path):
    with State(tmp_path / "state") as state:
        for directory in (state.path, state.journal_dir, state.rejected_dir):
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_state_directory_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="-state-dir"):
        State(tmp_path / "file" / "state")


def test_status_is_read_with_the_process_id_of_a_live_daemon_only(tmp_path: Path):
    with State(tmp_path) as state:
        state.write_status(b"{}")
        code = (
            "import sys; from pathlib import Path; from ctemplate.state import *; print(read_status(Path(sys.argv[1])))"
        )
        seen = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
        assert seen.stdout.strip() == f"(b'{{}}', {os.getpid()})"
    assert read_status(tmp_path) == (b"{}", 0)
    assert read_status(tmp_path / "nowhere") == (None, 0)


def test_the_state_directory_is_the_chosen_one_then_systemds_then_the_systems_or_the_users(tmp_path: Path):
    environ = {"STATE_DIRECTORY": "/var/lib/one:/var/lib/two"}
    assert locate(tmp_path, environ) == tmp_path
    assert locate(None, environ) == Path("/var/lib/one")
    own = locate(None, {"XDG_STATE_HOME": str(tmp_path)})
    assert own == (Path("/var/lib/ctemplate") if os.access("/var/lib", os.W_OK) else tmp_path / "ctemplate")


def test_a_pid_file_lives_as_long_as_the_process_runs(tmp_path: Path):
    path = tmp_path / "pid"
    with pid_file(path):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


def test_a_pid_file_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path):
    with pytest.raises(ConfigError, match="no/pid"), pid_file(tmp_path / "no" / "pid"):
        pass


def test_what_cannot_be_put_together_leaves_what_was_kept_before(tmp_path):
    def broken():
        yield b"half of it"
        raise MemoryError

    with State(tmp_path / "state") as state:
        state.write_last_good([b"all ", b"of it"])
        with pytest.raises(MemoryError):
            state.write_last_good(broken())

    assert read_last_good(tmp_path / "state") == b"all of it"
    assert not [path for path in (tmp_path / "state").iterdir() if LAST_GOOD in path.name and path.name != LAST_GOOD]
