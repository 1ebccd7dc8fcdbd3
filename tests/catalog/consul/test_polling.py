"""A read that is made for a change is not older than what is known of the change, whoever answers it."""

from __future__ import annotations

import asyncio
import time

import pytest

from ctemplate.catalog.consul.polling import fresh
from ctemplate.catalog.http import Endpoint, Reply


class Servers:
    """A follower that heard from the leader so many milliseconds before it answers, and the leader."""

    def __init__(self, last_contact_ms, *, noticed_after=0.0):
        self.asked = []
        self._last_contact_ms = last_contact_ms
        self._noticed_after = noticed_after

    async def get(self, path, params, *, timeout, rule):
        leader = "stale" not in params
        self.asked.append("leader" if leader else "follower")
        await asyncio.sleep(0 if leader else self._noticed_after)  # since it answered
        headers = {"x-consul-index": "7", "x-consul-lastcontact": "0" if leader else str(self._last_contact_ms)}
        return Reply(endpoint=Endpoint(host="h", port=1), status=200, headers=headers, body=b"[]")


def asked(servers, *, seconds_ago):
    since = time.monotonic() - seconds_ago
    asyncio.run(fresh(servers, "/v1/x", {}, rule="r", max_stale=2.0, since=since))
    return servers.asked


@pytest.mark.parametrize(
    ("last_contact_ms", "seconds_ago", "who"),
    [
        (0, 0.0, ["follower"]),
        (50, 1.0, ["follower"]),
        (50, 0.0, ["follower", "leader"]),
        (50, 0.01, ["follower", "leader"]),
    ],
)
def test_a_follower_is_believed_that_heard_from_the_leader_since(last_contact_ms, seconds_ago, who):
    assert asked(Servers(last_contact_ms), seconds_ago=seconds_ago) == who


def test_that_we_were_too_busy_to_see_an_answer_makes_it_no_newer():
    assert asked(Servers(20, noticed_after=0.05), seconds_ago=0.0) == ["follower", "leader"]
