"""Every node read at once: by one answer a node, or by the two documented ones where that one does not come."""

from __future__ import annotations

import asyncio
import json

import pytest

from ctemplate.catalog.consul import marks
from ctemplate.catalog.consul.everything import Everything
from ctemplate.catalog.consul.node_reads import all_on, checks_on, services_on
from ctemplate.catalog.consul.nodes import Nodes
from ctemplate.catalog.http import Endpoint, Reply
from ctemplate.errors import Refused, Unavailable

HERE = Endpoint("127.0.0.1", 8500)
NO_PAGE = "404"
FILTERED = {"x-consul-results-filtered-by-acls": "true"}


def node_of(name):
    return {"Node": name, "Address": "10.0.0.1", "Datacenter": "dc1", "CreateIndex": 4}


def consul(nodes=("n1", "n2")):
    """Path → body, for a `web` of one instance a node, each with a check."""
    said = {}
    for name in nodes:
        service = {"ID": f"web-{name}", "Service": "Web", "Port": 80, "ModifyIndex": 7}
        check = {
            "Node": name, "CheckID": "c", "Status": "warning", "ServiceID": f"web-{name}", "ServiceName": "Web",
            "CreateIndex": 8,
        }  # fmt: skip
        said[all_on(name)] = {"Node": name, "Address": "10.0.0.1", "Services": [service], "Checks": [check]}
        said[services_on(name)] = {"Node": node_of(name), "Services": {service["ID"]: service}}
        said[checks_on(name)] = [check]
    return said


def load(said, *, headers=()):
    """Read everything of `web` and `gone`; the answers, whether it was whole, what was seen, and what was asked."""
    nodes = Nodes()
    listing = json.dumps([node_of("n1"), node_of("n2")]).encode()
    nodes.see_list(marks.of_nodes(listing), now=1.0)
    nodes.datacenter = marks.datacenter(listing)
    seen, asked = {}, []

    async def read(path):
        asked.append(path)
        if isinstance(said[path], Exception):
            raise said[path]
        if said[path] == NO_PAGE:
            return Reply(HERE, 404, {})
        return Reply(HERE, 200, dict(headers).get(path, {}), json.dumps(said[path]).encode())

    everything = Everything(["web", "gone"], nodes, read=read, see=seen.__setitem__)
    asyncio.run(everything.load())
    return everything.answers(), everything.is_whole, seen, asked


def test_each_node_is_asked_once_and_its_parts_are_joined():
    answers, whole, seen, asked = load(consul())
    assert sorted(asked) == [all_on("n1"), all_on("n2")]
    assert [(i.id, i.status, i.dc, i.checks[0].id) for i in answers["web"].value] == [
        ("web-n1", "warning", "dc1", "c"),
        ("web-n2", "warning", "dc1", "c"),
    ]
    assert (answers["gone"].value, whole, sorted(seen)) == ((), True, ["n1", "n2"])


@pytest.mark.parametrize("said", [NO_PAGE, Refused("403")], ids=["a 404", "a 403"])
def test_where_the_one_answer_does_not_come_the_two_documented_ones_say_the_same(said):
    by_one, by_two = load(consul()), load({**consul(), all_on("n1"): said, all_on("n2"): said})
    assert by_one[:3] == by_two[:3]
    assert by_two[3].index(services_on("n1")) < by_two[3].index(checks_on("n1"))


def test_a_node_that_is_gone_adds_nothing():
    answers, whole, *_ = load({**consul(), all_on("n2"): NO_PAGE, services_on("n2"): None, checks_on("n2"): []})
    assert ([i.id for i in answers["web"].value], whole) == (["web-n1"], True)


@pytest.mark.parametrize("path", [all_on("n1"), services_on("n2"), checks_on("n2")])
def test_one_filtered_answer_makes_it_all_less_than_whole(path):
    assert not load({**consul(), all_on("n2"): NO_PAGE}, headers={path: FILTERED})[1]


@pytest.mark.parametrize("path", [all_on("n1"), services_on("n2"), checks_on("n2")])
def test_an_answer_of_another_shape_is_none(path):
    with pytest.raises(ExceptionGroup) as caught:
        load({**consul(), all_on("n2"): NO_PAGE, path: {"Node": 1}})
    assert [type(fault) for fault in caught.value.exceptions] == [Unavailable]
