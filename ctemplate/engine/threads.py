"""The threads in which groups commit: one while that is enough, others beside it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any


class CommitThreads(Executor):
    """One thread takes whatever comes while it has nothing to do, and what comes meanwhile others take.

    A pool hands work to the thread that waited longest, whose memory is the coldest: with four, 0.2 of the 4.1 ms
    of CPU that a change of one of five hundred templates took.
    """

    def __init__(self, most: int) -> None:
        """`most`: threads in all, two at least. They are started as they are needed."""
        self._first = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._others = ThreadPoolExecutor(most - 1, thread_name_prefix="commit")
        self._last: Future[Any] | None = None
        """What the first thread was given last."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn` in a thread. To be called from one thread only."""
        if self._last is not None and not self._last.done():
            return self._others.submit(fn, *args, **kwargs)
        self._last = self._first.submit(fn, *args, **kwargs)
        return self._last

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more, and wait for what is under way."""
        for pool in (self._first, self._others):
            pool.shutdown(wait=False, cancel_futures=cancel_futures)
        for pool in (self._first, self._others) if wait else ():
            pool.shutdown()
