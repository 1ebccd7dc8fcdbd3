"""Watching one name: a poll parked on a connection of its own, or a plain read in turn.

A poll holds its connection for as long as nothing changes, and an agent allows 200 from one address, for
everyone on the host together. So while the watches fit the budget each is parked, and beyond it each is
read in turn, by the few connections that are never parked on.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, Iterator
from hashlib import blake2b

import msgspec

from ctemplate.catalog.consul.blocking import READ_SECONDS, WAIT_SECONDS, Head, Poll, timeout_seconds, wait_seconds
from ctemplate.catalog.consul.client import Client
from ctemplate.catalog.consul.questions import Question, parameters, question
from ctemplate.catalog.http import Reply
from ctemplate.errors import Refused, Unavailable
from ctemplate.model import Answer, Query
from ctemplate.pace import TokenBucket

LISTEN_SECONDS = 15.0
"""Between two reads of what cannot block; consul-template's figure for datacenters."""
BESIDE_SECONDS = 10.0
"""How long what is read beside a parked poll may be behind: nothing wakes the poll for it."""
READS_PER_SECOND = 200.0
"""Of all watches that take turns together. Measured: 0.1 ms of our CPU a read, 0.2 ms of the agent's."""
TURN_SECONDS = 1.0
"""The least time between two turns of one watch."""


class Places:
    """Who may park: as long as every watch has a place, each; otherwise none, and they take turns.

    One connection in eight, four at most, is never parked on, so that a new query, or one that takes turns,
    never waits for news of another.
    """

    def __init__(self, connections: int) -> None:
        self._places = connections - max(1, min(4, connections // 8))
        self._watches = 0
        self._parked = 0

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Count one watch while it lasts."""
        self._watches += 1
        try:
            yield
        finally:
            self._watches -= 1

    @contextlib.contextmanager
    def parking(self) -> Iterator[bool]:
        """Take a place if there may be one; tells whether."""
        may = not self.crowded and self._parked < self._places
        self._parked += may
        try:
            yield may
        finally:
            self._parked -= may

    @property
    def crowded(self) -> bool:
        """Whether there are more watches than places."""
        return self._watches > self._places

    @property
    def watches(self) -> int:
        """How many watches there are."""
        return self._watches

    def turn_seconds(self) -> float:
        """Return the time between two turns of one watch."""
        return max(TURN_SECONDS, self._watches / READS_PER_SECOND)


async def watch(client: Client, places: Places, query: Query, *, max_stale: float) -> AsyncGenerator[Answer, None]:
    """Yield the answer to `query`, and again whenever it was found to be current, changed or not."""
    asked = question(query)
    poll = Poll()
    seen = b""
    answer: Answer | None = None
    bucket = TokenBucket(burst=2, per_second=10)
    with places.watching():
        while True:
            with places.parking() as may_park:
                wait = _wait(asked, poll) if may_park else 0.0
                params = {**parameters(query), **asked.params, **poll.params(wait=wait, max_stale=max_stale)}
                parked = bool(wait)
                reply = await client.get(
                    asked.path, params, timeout=timeout_seconds(wait), rule=asked.rule, parked=parked
                )
            if asked.blocking:
                poll, usable = poll.after(Head.of(reply.headers), max_stale=max_stale)
                if not usable:
                    await asyncio.sleep(bucket.delay(now=time.monotonic()))
                    continue
            bodies = [reply.body, *await _beside(client, asked, query)]
            digest = _digest(reply.status, bodies)
            if answer is None or digest != seen:
                answer, seen = read(asked, reply, bodies), digest
            yield answer
            await asyncio.sleep(_pause(asked, places, bucket))


async def confirm(client: Client, query: Query) -> Answer:
    """Ask the leader for `query`, which asks its peers whether it still leads."""
    asked = question(query)
    params = {**parameters(query), **asked.params, "consistent": ""}
    reply = await client.get(asked.path, params, timeout=READ_SECONDS, rule=asked.rule)
    if asked.blocking:
        Poll().after(Head.of(reply.headers), max_stale=0)
    return read(asked, reply, [reply.body, *await _beside(client, asked, query)])


def read(asked: Question, reply: Reply, bodies: list[bytes]) -> Answer:
    """Return what `reply` says, its bodies being its own and what was read beside it.

    Raises `Unavailable` for an answer of the wrong shape, `Refused` for one that ACLs made incomplete.
    """
    if reply.status == 404:
        if asked.absent is None:
            raise Unavailable(f"{asked.path}: 404, which Consul never answers here: is this Consul?")
        return asked.absent
    if asked.partial_is_wrong and reply.headers.get("x-consul-results-filtered-by-acls") == "true":
        raise Refused(f"{asked.path}: Consul left records out that the token may not see; it needs {asked.rule}")
    try:
        return asked.decode(*bodies)
    except msgspec.DecodeError as fault:
        raise Unavailable(f"{asked.path}: the answer has not the shape of Consul's ({fault})") from fault
    except UnicodeDecodeError:
        raise Refused(f"{asked.path}: its value is not UTF-8 text, which no template can print") from None


async def _beside(client: Client, asked: Question, query: Query) -> list[bytes]:
    if not asked.beside:
        return []
    reply = await client.get(asked.beside, parameters(query), timeout=READ_SECONDS, rule=asked.rule)
    if reply.status != 200:
        raise Unavailable(f"{asked.beside}: {reply.status}")
    return [reply.body]


def _wait(asked: Question, poll: Poll) -> float:
    if not (asked.blocking and poll.blocks):
        return 0.0
    wait = wait_seconds(random=random.random())  # noqa: S311  # jitter, no secret
    return wait * BESIDE_SECONDS / WAIT_SECONDS if asked.beside else wait


def _pause(asked: Question, places: Places, bucket: TokenBucket) -> float:
    """Return how long to wait before the next poll."""
    if asked.blocking and not places.crowded:
        return bucket.delay(now=time.monotonic())
    seconds = places.turn_seconds() if asked.blocking else LISTEN_SECONDS
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311  # jitter, no secret


def _digest(status: int, bodies: list[bytes]) -> bytes:
    """Tell equal answers apart from new ones without keeping their bodies or decoding them again."""
    digest = blake2b(str(status).encode(), digest_size=16)
    for body in bodies:
        digest.update(body)
    return digest.digest()
