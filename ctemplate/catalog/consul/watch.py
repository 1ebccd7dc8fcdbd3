"""Watching one question: a poll parked on a connection of its own, or a plain read in turn.

Which of the two is `arranging.py`'s to say. Services that share their polls are `census.py`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from hashlib import blake2b

import msgspec

from ctemplate.catalog.consul.blocking import READ_SECONDS, WAIT_SECONDS, Head, Poll
from ctemplate.catalog.consul.client import Client
from ctemplate.catalog.consul.polling import parked, spread
from ctemplate.catalog.consul.questions import Question, parameters, question
from ctemplate.catalog.http import Reply
from ctemplate.errors import Refused, Unavailable
from ctemplate.model import Answer, Query

LISTEN_SECONDS = 15.0
"""Between two reads of what cannot block; consul-template's figure for datacenters."""
BESIDE_SECONDS = 10.0
"""How long what is read beside a parked poll may be behind: nothing wakes the poll for it."""
READS_PER_SECOND = 200.0
"""Of all watches that take turns together. Measured: 0.1 ms of our CPU a read, 0.2 ms of the agent's."""
TURN_SECONDS = 1.0
"""The least time between two turns of one watch."""


class Reading:
    """Turns the replies of one watch into answers, decoding only what differs from the last."""

    def __init__(self, client: Client, query: Query) -> None:
        self.asked = question(query)
        self._client = client
        self._query = query
        self._seen = b""
        self._answer: Answer | None = None

    async def answer(self, reply: Reply) -> Answer:
        """Return what `reply` and what is read beside it say; the same object while nothing changed."""
        bodies = [reply.body, *await _beside(self._client, self.asked, self._query)]
        digest = _digest(reply.status, bodies)
        if self._answer is None or digest != self._seen:
            self._answer, self._seen = read(self.asked, reply, bodies), digest
        return self._answer


async def own(client: Client, query: Query, *, max_stale: float) -> AsyncGenerator[Answer, None]:
    """Yield the answer to `query`, and again whenever it was found to be current, changed or not, by a parked poll."""
    reading = Reading(client, query)
    asked = reading.asked
    params = {**parameters(query), **asked.params}
    if not asked.blocking:
        while True:
            yield await reading.answer(await client.get(asked.path, params, timeout=READ_SECONDS, rule=asked.rule))
            await asyncio.sleep(spread(LISTEN_SECONDS))
    share = BESIDE_SECONDS / WAIT_SECONDS if asked.beside else 1.0
    async for reply in parked(client, asked.path, params, rule=asked.rule, max_stale=max_stale, share=share):
        yield await reading.answer(reply)


async def in_turn(
    client: Client, query: Query, *, max_stale: float, watches: Callable[[], int]
) -> AsyncGenerator[Answer, None]:
    """Yield the answer to `query` each time it is read again, as often as `watches` that do the same allow."""
    reading = Reading(client, query)
    asked = reading.asked
    poll = Poll()
    while True:
        params = {**parameters(query), **asked.params, **poll.params(wait=0.0, max_stale=max_stale)}
        reply = await client.get(asked.path, params, timeout=READ_SECONDS, rule=asked.rule)
        if asked.blocking:
            after, usable = poll.after(Head.of(reply.headers), max_stale=max_stale)
            poll = Poll(leader=after.leader)
            if not usable:
                continue
        yield await reading.answer(reply)
        turn = max(TURN_SECONDS, watches() / READS_PER_SECOND)
        await asyncio.sleep(spread(turn if asked.blocking else LISTEN_SECONDS))


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


def _digest(status: int, bodies: list[bytes]) -> bytes:
    """Tell equal answers apart from new ones without keeping their bodies or decoding them again."""
    digest = blake2b(str(status).encode(), digest_size=16)
    for body in bodies:
        digest.update(body)
    return digest.digest()
