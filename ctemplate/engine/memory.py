"""Bounds the memory that one rendering may take, so that a template cannot take a load balancer's host down.

`"x" * 10**10` and `range(10**6) | list` in a loop are done by C code, which no signal and no other thread
interrupts; only the kernel can say no. It says so by failing the allocation: Python raises MemoryError, the
rendering fails like any other, and its file stays.

The limit is on the process's private data and holds while a rendering runs. A command that a group's thread
starts in that moment would inherit it: `commit.command` gives it back.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

RENDER_BYTES = 2**30
"""What a rendering may add; one of 10,000 services with 50,000 instances adds some 30 MB."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")
_DATA_FIELD = 5
"""Of proc(5)'s statm: data and stack, in pages."""


@contextlib.contextmanager
def memory_limited(added_bytes: int = 0) -> Iterator[None]:
    """Let what is inside add at most this much memory: by default `RENDER_BYTES`, at most half of what is installed."""
    added = added_bytes or min(RENDER_BYTES, os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES // 2)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        limit = int(_STATM.read_bytes().split()[_DATA_FIELD]) * _PAGE_BYTES + added
    except OSError:  # no /proc
        limit = soft
    if soft != resource.RLIM_INFINITY:
        limit = min(limit, soft)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
