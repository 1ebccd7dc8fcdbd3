"""What the census makes of two looks at the same node."""

from __future__ import annotations

import asyncio
import contextlib

from ctemplate.catalog.consul import marks
from ctemplate.catalog.consul.census import Census
from ctemplate.catalog.consul.client import Client
from ctemplate.catalog.consul.opener import endpoints_of
from ctemplate.settings import Consul

CHECK = b'{"Node": "n1", "CheckID": "node", "Status": "critical", "ServiceID": "", "ServiceName": ""}'
SERVICES = b'{"Node": {"Node": "n1", "Address": "10.0.0.1"}, "Services": {"w": {"ID": "w", "Service": "web"}}}'


@contextlib.asynccontextmanager
async def wanted(name):
    """A census that is asked for one service and connects to nothing."""
    client = Client(endpoints_of("127.0.0.1:1", tls=False), Consul(), emit=lambda event: None)
    census = Census(client, max_stale=2.0, emit=lambda event: None)
    watch = asyncio.create_task(anext(census.ledger.follow(name)))
    await asyncio.sleep(0)
    census.see_services("n1", marks.of_services(SERVICES))
    yield census
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


def test_the_first_check_of_a_node_that_had_none_changes_every_service_on_it():
    async def story():
        async with wanted("web") as census:
            census.see_checks("n1", marks.of_checks(b"[]"))
            census.dirt.take()
            census.see_checks("n1", marks.of_checks(b"[" + CHECK + b"]"))
            assert "web" in census.dirt

    asyncio.run(story())


def test_the_first_look_at_a_node_is_no_change_of_it():
    """Else the first reading of everything, node by node, would read each service once more by its name."""

    async def story():
        async with wanted("web") as census:
            census.dirt.take()
            census.see_checks("n1", marks.of_checks(b"[" + CHECK + b"]"))
            assert "web" not in census.dirt

    asyncio.run(story())
