"""The rules of Consul's blocking queries, as values: what to ask next after what was answered.

Nothing here sends, waits or decodes. The rules, each with what goes wrong without it:

| the answer | is it used | the next poll | otherwise |
| --- | --- | --- | --- |
| no leader known | raises `Unavailable` | – | a cut-off server's remains become the truth |
| no `X-Consul-Index` | raises `Unavailable` | – | a stray web server's `[]` empties an upstream |
| stale, and older than allowed | no | the leader, at once | data older than `max_stale` are served |
| index lower than the last | no | the leader, at once | a server that has just started is believed with what it lacks |
| index below 1 | yes | from 1 | index 0 does not block: a busy loop |
| any other index | yes | from that index | – |

An equal index is no promise of equal data, so the caller compares. After an error a caller starts from
`Poll()`. Source: https://developer.hashicorp.com/consul/api-docs/features/blocking
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ctemplate.errors import Unavailable

WAIT_SECONDS = 60.0
"""How long a poll is parked at most. The API's own default is 5 minutes, its bound 10."""
SLACK_SECONDS = 10.0
"""For the network, a busy agent and a large body, beyond what the agent may take."""
READ_SECONDS = 30.0
"""For an answer that does not block."""


class Head(msgspec.Struct, frozen=True):
    """What the headers of an answer say about it."""

    index: int | None
    """None: there was no `X-Consul-Index`, or no number in it."""
    last_contact: float = 0.0
    """Seconds since the answering server last heard from the leader."""
    known_leader: bool = True

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Head:
        """Read `headers`, whose names are in lower case."""
        return cls(
            index=_number(headers.get("x-consul-index")),
            last_contact=(_number(headers.get("x-consul-lastcontact")) or 0) / 1000,
            known_leader=headers.get("x-consul-knownleader", "true") != "false",
        )


class Poll(msgspec.Struct, frozen=True):
    """What to ask for: news since `index`, or at once if it is 0, from any server or from the leader."""

    index: int = 0
    leader: bool = False

    @property
    def blocks(self) -> bool:
        """Whether the agent may hold the answer back until there is news."""
        return self.index > 0 and not self.leader

    def params(self, *, wait: float, max_stale: float) -> dict[str, str]:
        """Return the query parameters; `wait` 0 asks for an answer at once."""
        params = {} if self.leader or max_stale <= 0 else {"stale": ""}
        if wait and self.blocks:
            params |= {"index": str(self.index), "wait": f"{round(wait * 1000)}ms"}
        return params

    def after(self, head: Head, *, max_stale: float) -> tuple[Poll, bool]:
        """Return the next poll, and whether the answer may be used. Raises `Unavailable` as the table says."""
        if not head.known_leader:
            raise Unavailable("the Consul servers have no leader")
        if head.index is None:
            raise Unavailable("the answer has no X-Consul-Index: not Consul, or a proxy in between takes it away")
        if not self.leader and 0 < max_stale < head.last_contact:
            return msgspec.structs.replace(self, leader=True), False
        index = max(head.index, 1)
        if index < self.index:
            return Poll(leader=True), False
        return Poll(index), True


def wait_seconds(*, random: float) -> float:
    """Draw how long to park: between three quarters and all of `WAIT_SECONDS`, `random` being in [0, 1).

    Without the spread a thousand polls that began together come back together, every minute.
    """
    return WAIT_SECONDS * (1 - random / 4)


def timeout_seconds(wait: float) -> float:
    """Return after how long a poll is given up: the agent adds up to a sixteenth to `wait` by its own jitter."""
    return wait + wait / 16 + SLACK_SECONDS if wait else READ_SECONDS


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 20 else None
