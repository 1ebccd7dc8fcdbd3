"""What is read of HAProxy's `show proc`."""

from __future__ import annotations

import pytest

from ctemplate.commit.reload.haproxy.master import read_processes

HEADER = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n"


def test_master_workers_and_failed_reloads_are_read() -> None:
    found = read_processes(
        HEADER
        + "9917            master          2 [failed: 1]   0d00h00m05s     2.6.12-1+deb12u4\n# workers\n"
        + "9967            worker          0               0d00h00m04s     2.6.12-1+deb12u4\n# old workers\n"
        + "9920            worker          2               0d00h00m09s     2.6.12-1+deb12u4\n# programs\n\n",
        master=1,
    )
    assert (found.failed, found.workers) == (1, {9967: 0, 9920: 2})
    assert found.newest == {9967}


def test_an_older_master_that_counts_no_failures_is_understood() -> None:
    found = read_processes(HEADER + "17 master 1 0d 2.2\n18 worker 0 0d 2.2\n", master=17)
    assert (found.failed, found.newest) == (0, frozenset({18}))


def test_the_answer_of_another_socket_is_an_error() -> None:
    with pytest.raises(OSError, match="master's socket"):
        read_processes("Unknown command: 'show proc'\n", master=1)
