"""Which thread commits."""

from __future__ import annotations

import threading

import pytest

from ctemplate.engine.threads import CommitThreads


@pytest.fixture
def threads():
    with CommitThreads(3) as pool:
        yield pool


def test_one_thread_does_it_while_it_is_free(threads):
    for _ in range(3):  # three others were started at once, as at a start with many files
        gate = threading.Barrier(4)
        started = [threads.submit(gate.wait, 10) for _ in range(3)]
        gate.wait(10)
        assert all(future.result() is not None for future in started)
    assert len({threads.submit(threading.get_ident).result() for _ in range(20)}) == 1


def test_what_comes_while_it_is_busy_is_done_by_others(threads):
    slow = threading.Event()
    first = threads.submit(slow.wait, 10)
    try:
        idents = {threads.submit(threading.get_ident).result(timeout=10) for _ in range(20)}
        assert not first.done()
    finally:
        slow.set()
    first.result(timeout=10)
    assert threads.submit(threading.get_ident).result() not in idents


def test_a_fault_leaves_it_free(threads):
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 / 0).result()
    assert len({threads.submit(threading.get_ident).result() for _ in range(20)}) == 1


def test_what_was_cancelled_before_it_began_leaves_it_free(threads):
    ident = threads.submit(threading.get_ident).result()
    gate = threading.Event()
    under_way = threads._first.submit(gate.wait, 10)
    assert threads.submit(print).cancel()
    gate.set()
    under_way.result()
    assert threads.submit(threading.get_ident).result() == ident


def test_no_more_than_so_many_work_at_once(threads):
    working, most, done = [], [], threading.Event()
    started = threading.Semaphore(0)

    def work():
        working.append(1)
        most.append(len(working))
        started.release()
        done.wait(10)
        working.pop()

    futures = [threads.submit(work) for _ in range(8)]
    for _ in range(3):
        assert started.acquire(timeout=10)
    done.set()
    for future in futures:
        future.result(timeout=10)
    assert max(most) == 3


def test_the_end_waits_for_what_is_under_way():
    pool, gate = CommitThreads(2), threading.Event()
    futures = [pool.submit(gate.wait, 10) for _ in range(2)]
    threading.Timer(0.1, gate.set).start()
    pool.shutdown()
    assert all(future.done() for future in futures)
    with pytest.raises(RuntimeError):
        pool.submit(print)
