"""One poll that is parked again for ever, and one read that is provably new: what asks Consul is made of these.

Nothing here decodes a body.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Mapping
from functools import partial

from ctemplate.catalog.consul.blocking import READ_SECONDS, Head, Poll, timeout_seconds, wait_seconds
from ctemplate.catalog.consul.client import Client, Recent
from ctemplate.catalog.consul.questions import CHECKS_WRITTEN, NODES, SERVICES
from ctemplate.catalog.http import Reply
from ctemplate.pace import TokenBucket

BURST, PER_SECOND = 2, 10.0
"""How often one poll may come back: what changes all the time is read ten times a second and no more."""
SLOW = {SERVICES: 2.0, CHECKS_WRITTEN: 0.2}
"""The same for what only says that something changed somewhere, which is looked for once a second at most, for checks
once in 30 s. For each listing of services Consul walks through every instance: at 50,000 that takes 110 ms of its
CPU."""
BREATH_SECONDS = 0.005
"""Before a poll is parked again. What it was answered is rendered first, which asking anew would hold up; what changes
meanwhile is in the next answer."""
LISTINGS = (SERVICES, NODES)
"""What the census and a template may wait for at once: then one poll is parked for both."""
RECENT_SECONDS = 1.0
"""So long an answer to one is good for the other to begin with: the poll from its index tells what changed since."""


async def parked(
    client: Client, path: str, params: Mapping[str, str], *, rule: str, max_stale: float, share: float = 1.0
) -> AsyncGenerator[Reply, None]:
    """Yield the answer at `path`, then each later one, whether it differs or only the wait was over.

    `share` shortens the wait. Raises what `Client.get` and `Poll.after` raise.
    """
    poll = Poll()
    bucket = TokenBucket(burst=BURST, per_second=SLOW.get(path, PER_SECOND))
    jointly = path in LISTINGS and not params
    if jointly and (recent := client.recent.get(path)) and time.monotonic() - recent.at < RECENT_SECONDS:
        poll = recent.poll
        yield recent.reply
    while True:
        wait = wait_seconds(random=random.random()) * share if poll.blocks else 0.0  # noqa: S311  # jitter, no secret
        ask = partial(
            client.get,
            path,
            {**params, **poll.params(wait=wait, max_stale=max_stale)},
            timeout=timeout_seconds(wait),
            rule=rule,
            parked=bool(wait),
        )
        reply = await (client.joining.ask((path, poll), ask) if jointly else ask())
        client.recent.pop(path, None)
        poll, usable = poll.after(Head.of(reply.headers), max_stale=max_stale)
        if usable:
            if jointly:
                client.recent[path] = Recent(poll, reply, time.monotonic())
            yield reply
        await asyncio.sleep(max(BREATH_SECONDS, bucket.delay(now=time.monotonic())))


async def fresh(
    client: Client, path: str, params: Mapping[str, str], *, rule: str, max_stale: float, since: float
) -> Reply:
    """Read `path` as it was at or after `since` (monotonic seconds), when something was heard to have changed.

    Any server may answer; if it has not heard from the leader since then, it may not know what we know
    already, and the leader is asked. Raises what `Client.get` and `Poll.after` raise.
    """
    for poll in (Poll(), Poll(leader=True)):
        asked = {**params, **poll.params(wait=0.0, max_stale=max_stale)}
        sent = time.monotonic()  # it is answered after this; when it came to our notice says nothing
        reply = await client.get(path, asked, timeout=READ_SECONDS, rule=rule)
        head = Head.of(reply.headers)
        _, usable = poll.after(head, max_stale=max_stale)
        if usable and head.last_contact <= max(0.0, sent - since):
            return reply
    return reply  # the leader's own word


def spread(seconds: float) -> float:
    """Draw a time around `seconds`, so that what began together does not go on together."""
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311  # jitter, no secret
