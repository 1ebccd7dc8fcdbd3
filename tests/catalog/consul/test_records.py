"""Consul's JSON as our model: what is kept, what is left out, what is no answer at all."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctemplate.catalog.consul import marks, records
from ctemplate.model import STATUSES, BadRecord, Check, Instance, KeyValue, Node, NodeServices, ServiceName


def body(value: object) -> bytes:
    return json.dumps(value).encode()


def entry(*, node=None, checks=(), **service):
    base = {"ID": "web-1", "Service": "web", "Address": "", "Port": 8080, "Tags": None, "Meta": None}
    return {
        "Node": {"ID": "f0", "Node": "n1", "Address": "10.0.0.1", "Datacenter": "dc1", "Meta": {}} | (node or {}),
        "Service": base | {"Weights": {"Passing": 3, "Warning": 2}} | service,
        "Checks": [
            {"Node": "n1", "CheckID": id_, "Name": id_, "Status": status, "Output": "x", "ServiceID": "web-1"}
            for id_, status in checks
        ],
    }


def instances(*entries):
    return records.instances(body(entries), keep_order=False)


def test_an_entry_becomes_an_instance():
    answer = instances(entry(Tags=["b", "a"], Meta={"v": "1"}, Address="10.9.9.9", checks=[("serfHealth", "passing")]))
    assert answer.bad == ()
    assert answer.value == (
        Instance(
            id="web-1",
            name="web",
            address="10.9.9.9",
            port=8080,
            node="n1",
            node_address="10.0.0.1",
            tags=("a", "b"),
            meta={"v": "1"},
            status="passing",
            weight=3,
            all_checks=(Check("serfHealth", "serfHealth", "passing"),),
            dc="dc1",
        ),
    )


def test_the_address_falls_back_to_the_nodes():
    assert instances(entry(Address="")).value[0].address == "10.0.0.1"


def test_what_an_older_release_does_not_send_has_a_default():
    (instance,) = records.instances(
        b'[{"Node":{"Node":"n","Address":"::1"},"Service":{"ID":"","Service":"s","Port":1}}]', keep_order=False
    ).value
    assert (instance.id, instance.weight, instance.status, instance.tags, instance.meta) == ("s", 1, "passing", (), {})


@pytest.mark.parametrize(
    ("checks", "status", "weight"),
    [
        ([], "passing", 3),
        (["passing", "passing"], "passing", 3),
        (["passing", "warning"], "warning", 2),
        (["critical", "warning"], "critical", 3),
        (["passing", "something new"], "critical", 3),
    ],
)
def test_the_status_is_the_worst_of_all_checks_and_sets_the_weight(checks, status, weight):
    (instance,) = instances(entry(checks=[(f"c{n}", each) for n, each in enumerate(checks)])).value
    assert (instance.status, instance.weight) == (status, weight)


@pytest.mark.parametrize("own", [[], ["passing"], ["warning"], ["critical", "passing"], ["odd"]])
@pytest.mark.parametrize("nodes", [[], ["passing"], ["warning", "passing"], ["critical"]])
def test_checks_that_pass_are_not_needed_to_tell_the_status(own, nodes):
    """So a lean census reads only those that do not."""
    checks = [marks.Check(check_id=f"n{n}", status=status) for n, status in enumerate(nodes)]
    checks += [marks.Check(check_id=f"w{n}", status=status, service_id="w") for n, status in enumerate(own)]
    services = {"w": {"ID": "w", "Service": "web", "Port": 80, "Weights": {"Passing": 3, "Warning": 2}}}
    there = records.on_node(body({"Node": {"Node": "n1", "Address": "10.0.0.1"}, "Services": services}))
    whole = records.of_parts(*records.instances_on(there, checks))
    lean = records.of_parts(*records.instances_on(there, [c for c in checks if c.status != "passing"], lean=True))
    assert whole.value[0].status == ("critical" if "odd" in own else max([*own, *nodes, "passing"], key=STATUSES.index))
    assert lean == records.without_checks(whole)


@pytest.mark.parametrize("check", ["_node_maintenance", "_service_maintenance:web-1"])
def test_maintenance_is_a_status_of_its_own(check):
    assert instances(entry(checks=[("c", "critical"), (check, "critical")])).value[0].status == "maintenance"
    assert instances(entry(checks=[("c", "critical"), (check, "passing")])).value[0].status == "critical", "it is over"


def test_instances_are_sorted_by_node_then_id_in_string_order():
    found = instances(*(entry(node={"Node": node}, ID=id_) for node, id_ in [("b", "1"), ("a", "2"), ("a", "10")]))
    assert [(i.node, i.id) for i in found.value] == [("a", "10"), ("a", "2"), ("b", "1")]


def test_an_order_by_round_trip_time_is_kept():
    found = records.instances(body([entry(ID="z"), entry(ID="a")]), keep_order=True)
    assert [i.id for i in found.value] == ["z", "a"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"Address": "unix:/run/x"}, "address"),
        ({"Address": "127.1"}, "address"),
        ({"Address": "10.0.0.1; }"}, "address"),
        ({"Address": "", "node": {"Address": ""}}, "address is empty"),
        ({"Address": "10.0.0.9", "node": {"Address": "unix:/run/x"}}, "node address"),
        ({"Port": 70000}, "port"),
        ({"Port": -1}, "port"),
        ({"Weights": {"Passing": -1, "Warning": 1}}, "weight"),
        ({"Weights": {"Passing": 70000, "Warning": 1}}, "weight"),
    ],
)
def test_a_record_that_cannot_be_what_it_claims_is_left_out_and_named_alone(fields, reason):
    answer = instances(entry(ID="good"), entry(**fields))
    assert [i.id for i in answer.value] == ["good"]
    (bad,) = answer.bad
    assert (bad.name, bad.node, bad.id) == ("web", "n1", "web-1")
    assert reason in bad.reason


def test_a_port_of_0_and_a_host_name_are_fine():
    answer = instances(entry(Port=0, Address="db-1.internal"))
    assert answer.bad == ()
    assert (answer.value[0].port, answer.value[0].address) == (0, "db-1.internal")


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"null",
        b"{}",
        b"[",
        b"[null]",
        b'[{"Node":null,"Service":null}]',
        body([{"Service": entry()["Service"]}]),
        body([entry(Port="8080")]),
        body([entry(Tags="a")]),
        body([entry(Meta={"a": 1})]),
        b"<html>",
        b"[]trailing",
    ],
)
def test_a_body_of_the_wrong_shape_is_no_answer(wrong):
    with pytest.raises(msgspec.DecodeError):
        records.instances(wrong, keep_order=False)


@given(address=st.text(max_size=40), port=st.integers(-10, 70000))
def test_every_instance_that_comes_through_has_a_typed_address_and_port(address, port):
    answer = instances(entry(Address=address, Port=port))
    assert len(answer.value) + len(answer.bad) == 1
    for instance in answer.value:
        assert 0 <= instance.port <= 65535
        assert not set(instance.address) & set(" \t\r\n;{}$'\"\\/#%")
        last = instance.address.rstrip(".").rpartition(".")[2]
        if ":" in instance.address or last.isdigit():
            ipaddress.ip_address(instance.address)


@given(st.permutations([("n1", "a"), ("n1", "b"), ("n2", "a"), ("n3", "c")]))
def test_the_order_of_a_body_does_not_matter(order):
    answer = instances(*(entry(node={"Node": node}, ID=id_, Tags=["y", "x"]) for node, id_ in order))
    assert [(i.node, i.id) for i in answer.value] == sorted(order)


def test_services_and_their_tags_are_sorted():
    answer = records.services(body({"web": ["z", "a"], "api": None, "consul": []}))
    assert answer.value == (ServiceName("api"), ServiceName("consul"), ServiceName("web", ("a", "z")))


def test_nodes_are_sorted_and_a_bad_address_is_left_out():
    found = [{"Node": name, "Address": address} for name, address in [("b", "::1"), ("a", "h"), ("c", "unix:/x")]]
    answer = records.nodes(body(found), keep_order=False)
    assert answer.value == (Node(name="a", address="h"), Node(name="b", address="::1"))
    assert [bad.node for bad in answer.bad] == ["c"]


NODE = {"Node": "n1", "Address": "10.0.0.1", "Datacenter": "dc1", "Meta": None}


def test_a_node_has_its_instances_with_the_worst_of_their_own_and_its_checks():
    services = {
        id_: {"ID": id_, "Service": name, "Port": 80, "Address": "", "Tags": [], "Meta": {}}
        for id_, name in [("w2", "web"), ("w1", "web"), ("a1", "api")]
    }
    checks = [
        {"CheckID": "c", "Name": "c", "Status": "critical", "ServiceID": "w1"},
        {"CheckID": "serfHealth", "Name": "s", "Status": "warning", "ServiceID": ""},
    ]
    found = records.node(body({"Node": NODE, "Services": services}), body(checks)).value
    assert isinstance(found, NodeServices)
    assert found.node == Node(name="n1", address="10.0.0.1", dc="dc1")
    assert [(i.id, i.status) for i in found.services] == [("a1", "warning"), ("w1", "critical"), ("w2", "warning")]


def test_a_node_that_is_not_there_is_none_and_not_an_error():
    assert records.node(b"null", b"[]").value is None


def test_a_node_with_a_bad_address_has_none_and_is_named():
    answer = records.node(body({"Node": NODE | {"Address": "unix:/x"}, "Services": {}}), b"[]")
    assert answer.value.node.address == ""
    assert [bad.node for bad in answer.bad] == ["n1"]


def pair(key: str, value: bytes | None) -> dict[str, object]:
    return {"Key": key, "Flags": 0, "Value": None if value is None else base64.b64encode(value).decode()}


@pytest.mark.parametrize(("value", "text"), [(b"blue", "blue"), (None, ""), ("grün\n".encode(), "grün\n")])
def test_a_key_is_its_text(value, text):
    assert records.value(body([pair("k", value)])).value == text


def test_a_key_that_is_no_text_is_no_answer():
    with pytest.raises(UnicodeDecodeError):
        records.value(body([pair("k", b"\xff\xfe")]))


@pytest.mark.parametrize("wrong", [b"[]", body([{"Key": "k", "Value": "%%%"}]), body([pair("a", b""), pair("b", b"")])])
def test_not_exactly_one_well_formed_key_is_no_answer(wrong):
    with pytest.raises(msgspec.DecodeError):
        records.value(wrong)


def test_a_tree_is_sorted_by_the_rest_of_the_path_without_folder_markers():
    pairs = [pair("app/", None), pair("app/z", b"1"), pair("app/b/", None), pair("app/b/c", b"2"), pair("app/é", b"3")]
    answer = records.tree(body(pairs), "app/")
    assert answer.value == (KeyValue("b/c", "2"), KeyValue("z", "1"), KeyValue("é", "3"))


def test_a_key_of_a_tree_that_is_no_text_is_left_out_and_named():
    answer = records.tree(body([pair("app/a", b"\xff"), pair("app/b", b"ok")]), "app/")
    assert answer.value == (KeyValue("b", "ok"),)
    assert answer.bad == (BadRecord("app/a", "", "", "value is not UTF-8 text"),)


def test_datacenters_are_sorted():
    assert records.datacenters(b'["dc2","dc1"]').value == ("dc1", "dc2")


@given(st.binary(max_size=200))
def test_no_body_makes_anything_but_an_answer_or_a_decode_error(junk):
    for decode in (records.services, records.datacenters, records.value):
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            decode(junk)
