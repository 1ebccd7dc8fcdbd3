"""Marks differ exactly where what a template may see differs, and parts read by node make the answer read by name."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from ctemplate.catalog.consul import marks, records
from ctemplate.catalog.consul.ailing import Ailing
from ctemplate.catalog.consul.loading import Parts

NODES = ("n1", "n2")
STATUSES = st.sampled_from(["passing", "warning", "critical", "one that Consul does not document"])
check = st.fixed_dictionaries({"CheckID": st.sampled_from("xyz"), "Status": STATUSES})
nodes_own = st.fixed_dictionaries(
    {"CheckID": st.sampled_from("xyz"), "Status": STATUSES, "ServiceName": st.sampled_from(["", "web"])}
)
instance = st.fixed_dictionaries(
    {
        "ID": st.sampled_from(["i1", "i2", "i3"]), "Service": st.sampled_from(["web", "Web", "db"]),
        "Port": st.integers(-1, 9), "Checks": st.lists(check, max_size=2, unique_by=lambda c: c["CheckID"]),
    }
)  # fmt: skip
catalogs = st.fixed_dictionaries(
    {node: st.lists(instance, max_size=3, unique_by=lambda i: i["ID"]) for node in NODES}
    | {"checks": st.fixed_dictionaries({node: st.lists(nodes_own, max_size=1) for node in NODES})}
)


def node_of(name):
    return {"Node": name, "Address": "10.0.0.1", "Datacenter": "dc1", "CreateIndex": 1}


def services_on(catalog, node):
    found = {i["ID"]: {"ModifyIndex": hash(f"{i['Service']}:{i['Port']}"), **i} for i in catalog[node]}
    return json.dumps({"Node": node_of(node), "Services": found}).encode()


def all_checks(catalog, node):
    found = [{"Node": node, "ServiceID": "", "ServiceName": "", **c} for c in catalog["checks"][node]]
    for i in catalog[node]:
        found += [{"Node": node, "ServiceID": i["ID"], "ServiceName": i["Service"], **c} for c in i["Checks"]]
    return found


def checks_on(catalog, node):
    return json.dumps(sorted(all_checks(catalog, node), key=lambda c: c["CheckID"])).encode()


def by_name(catalog, name):
    """As `/v1/health/service/NAME` answers, which looks names up in any case."""
    entries = [
        {
            "Node": node_of(node), "Service": i,
            "Checks": [c for c in reversed(all_checks(catalog, node)) if c["ServiceID"] in ("", i["ID"])],
        }
        for node in NODES for i in catalog[node] if i["Service"].lower() == name
    ]  # fmt: skip
    return json.dumps(entries).encode()


@given(catalogs)
def test_a_service_read_by_node_equals_the_service_read_by_name(catalog):
    parts = Parts(("web", "db"))
    for node in NODES:
        parts.add(
            *records.instances_on(records.on_node(services_on(catalog, node)), marks.checks(checks_on(catalog, node)))
        )
    assert list(parts.answers()) == ["web", "db"]
    for name, answer in parts.answers().items():
        assert answer == records.instances(by_name(catalog, name), keep_order=False)


@given(catalogs)
def test_what_is_told_of_checks_agrees_with_a_service_read_at_the_same_moment(catalog):
    """By a poll a node, by one a status, or all at once: else a service would be read again whenever more is told."""
    told = [check for node in NODES for check in all_checks(catalog, node)]
    polls = {node: json.loads(checks_on(catalog, node)) for node in NODES}
    sentinels = {status: [check for check in told if check["Status"] == status] for status in ("critical", "warning")}
    for counts, way in ((marks.is_told, polls), (marks.is_told, sentinels), (marks.is_untold, {"all": told})):
        ailing = Ailing(counts)
        for path, said in way.items():
            ailing.tell(path, marks.checks(json.dumps(said).encode()), now=1.0)
        for name in ("web", "db"):
            assert not ailing.outdated(name, records.instances(by_name(catalog, name), keep_order=False), since=0.0)
        assert ailing.take_doubted() == set()


@given(catalogs, catalogs)
def test_a_service_whose_answer_differs_differs_in_a_mark(old, new):
    noticed = set()
    for node in NODES:
        noticed |= marks.on_node(*(marks.of_services(marks.services(services_on(c, node))) for c in (old, new)))
        before, after = (marks.of_checks(marks.checks(checks_on(c, node))) for c in (old, new))
        changed = marks.differing(before, after)
        if marks.NODE in changed:
            noticed |= {i["Service"].lower() for c in (old, new) for i in c[node]}
        noticed |= changed
    for name in ("web", "db"):
        if records.instances(by_name(old, name), keep_order=False) != records.instances(
            by_name(new, name), keep_order=False
        ):
            assert name in noticed


def test_what_a_check_says_makes_no_mark():
    said = [{"Node": "n", "CheckID": "c", "Status": "critical", "ServiceName": "web", "Output": text} for text in "ab"]
    one, other = (marks.checks(json.dumps([check]).encode()) for check in said)
    assert marks.of_checks(one) == marks.of_checks(other)
    assert marks.by_node(one) == marks.by_node(other) != {}


def test_a_node_that_was_made_anew_differs():
    one, other = (json.dumps([{**node_of("n"), "CreateIndex": index}]).encode() for index in (1, 2))
    assert marks.differing(marks.of_nodes(one), marks.of_nodes(other)) == {"n"}


def test_what_is_on_a_node_that_changes_itself_differs_as_a_whole():
    old, new = {marks.NODE: 1, "web": 1, "db": 1}, {marks.NODE: 2, "web": 1, "new": 1}
    assert marks.on_node(old, new) == {"web", "db", "new"}
    assert marks.on_node(old, {**old, "db": 2}) == {"db"}
