"""How what is on a node is asked for, many nodes at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import TypeVar
from urllib.parse import quote

import msgspec

from ctemplate.catalog.http import Reply
from ctemplate.errors import Unavailable

READERS = 12
"""Reads at once where a change waits for them. More do not make an agent on the same machine faster."""
LOADERS = 2
"""Reads at once of everything: one that the agent answers while we make instances of the other. Six are hardly faster
and hold up others: while 10,000 services were loaded, another client's p99 was 4.5, 6.8 and 20 ms beside two, and 9.0,
8.7 and 26 beside six (`benchmarks/neighbours.py`, in turn; the last of each met a garbage collection of the agent's),
and the first file came after 1.9 s, and 1.8 (medians of six, in turn)."""

_T = TypeVar("_T")


def services_on(node: str) -> str:
    """The path of what is registered on a node."""
    return f"/v1/catalog/node/{quote(node, safe='')}"


def checks_on(node: str) -> str:
    """The path of the checks on a node."""
    return f"/v1/health/node/{quote(node, safe='')}"


async def each(items: Collection[_T], work: Callable[[_T], Awaitable[None]], *, at_once: int = READERS) -> None:
    """Do `work` on every item, `at_once` at a time, beginning in their order."""
    queue = iter(items)

    async def reader() -> None:
        for item in queue:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(at_once, len(items))):
            group.create_task(reader())


@contextlib.contextmanager
def shaped(reply: Reply) -> Iterator[None]:
    """Raise `Unavailable` where a body is decoded that has not the shape of Consul's."""
    try:
        yield
    except msgspec.DecodeError as fault:
        raise Unavailable(f"{reply.endpoint}: the answer has not the shape of Consul's ({fault})") from fault


def is_filtered(reply: Reply) -> bool:
    """Tell whether the token may not see all that was asked for."""
    return reply.headers.get("x-consul-results-filtered-by-acls") == "true"
