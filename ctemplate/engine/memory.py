"""Bounds the memory that one rendering may take, so that a template cannot take a load balancer's host down.

`"x" * 10**10` and `range(10**6) | list` in a loop are done by C code, which no signal and no other thread
interrupts; only the kernel can say no. It says so by failing the allocation: Python raises MemoryError, the
rendering fails like any other, and its file stays.

The limit is on the process's private data and holds while a rendering runs. A command that a group's thread
starts in that moment would inherit it: `commit.command` gives it back.
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
from collections.abc import Iterator

RENDER_BYTES = 2**30
"""What a rendering may add; one of 10,000 services with 50,000 instances adds some 30 MB."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_HALF_BYTES = os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES // 2
_DATA_FIELD = 5
"""Of proc(5)'s statm: data and stack, in pages."""


@functools.cache
def _statm() -> int:
    """Open it once: a rendering asks each time."""
    return os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)


@contextlib.contextmanager
def memory_limited(added_bytes: int = 0) -> Iterator[None]:
    """Let what is inside add at most this much memory: by default `RENDER_BYTES`, at most half of what is installed."""
    added = added_bytes or min(RENDER_BYTES, _HALF_BYTES)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        limit = int(os.pread(_statm(), 256, 0).split()[_DATA_FIELD]) * _PAGE_BYTES + added
    except OSError:  # no /proc
        limit = soft
    if soft != resource.RLIM_INFINITY:
        limit = min(limit, soft)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
