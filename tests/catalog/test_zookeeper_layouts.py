"""Records as other tools write them into ZooKeeper, and what each layout makes of them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ctemplate.catalog.zookeeper.layouts import LAYOUTS, layout


def read(name: str, children: dict[str, Any], *, endpoint: str = ""):
    chosen = layout(name, endpoint=endpoint)
    assert chosen is not None
    pairs = {f"web/{child}": value for child, value in children.items()}
    return chosen(
        (path, value if isinstance(value, bytes) else json.dumps(value).encode()) for path, value in pairs.items()
    )


def instances(found) -> list[tuple[str, str]]:
    return [(instance.endpoint, instance.status) for instance in found.service("web").value]


CURATOR = {
    "name": "web",
    "id": "u-1",
    "address": "10.0.0.1",
    "port": 8080,
    "sslPort": None,
    "payload": None,
    "registrationTimeUTC": 1700000000000,
    "serviceType": "DYNAMIC",
    "uriSpec": None,
}


def test_curator_absent_enabled_is_true_and_a_disabled_one_is_in_maintenance():
    found = read("curator", {"a": CURATOR, "b": {**CURATOR, "id": "u-2", "enabled": False}})
    assert instances(found) == [("10.0.0.1:8080", "passing"), ("10.0.0.1:8080", "maintenance")]
    assert [i.id for i in found.service("web").value] == ["u-1", "u-2"]


def test_curator_takes_the_tls_port_where_there_is_no_other_and_texts_of_the_payload():
    record = {**CURATOR, "port": None, "sslPort": 8443, "payload": {"@class": "java.util.Map", "zone": "a", "n": 1}}
    (one,) = read("curator", {"a": record}).service("web").value
    assert (one.port, one.meta) == (8443, {"zone": "a", "ssl_port": "8443"})


@pytest.mark.parametrize(
    ("status", "expected"),
    [("UP", "passing"), ("OUT_OF_SERVICE", "maintenance"), ("DOWN", "critical"), (None, "passing")],
)
def test_spring_serves_by_up_alone(status: str | None, expected: str):
    metadata = {"instance_status": status} if status else {}
    payload = {"@class": "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance", "metadata": metadata}
    record = {**CURATOR, "payload": payload}
    assert instances(read("spring", {"a": record})) == [("10.0.0.1:8080", expected)]


MEMBER = {
    "serviceEndpoint": {"host": "10.0.0.1", "port": 80},
    "additionalEndpoints": {"admin": {"host": "10.0.0.1", "port": 9990}},
    "status": "ALIVE",
    "shard": 3,
}


def test_a_serverset_serves_by_its_living_members_and_their_endpoint():
    children = {"member_1": MEMBER, "member_2": {**MEMBER, "status": "STARTING"}, "lock_3": b"no member"}
    assert instances(read("serverset", children)) == [("10.0.0.1:80", "passing"), ("10.0.0.1:80", "critical")]
    (one,) = read("serverset", {"member_1": MEMBER}, endpoint="admin").service("web").value
    assert (one.endpoint, one.meta) == ("10.0.0.1:9990", {"endpoint_admin": "10.0.0.1:9990", "shard": "3"})
    missing = read("serverset", {"member_1": MEMBER}, endpoint="thrift").service("web")
    assert missing.value == ()
    assert "endpoint" in missing.bad[0].reason


NERVE = {"host": "10.0.0.1", "port": 80, "name": "box1", "weight": 7, "labels": {"az": "b"}}


def encoded(record: dict[str, Any]) -> str:
    text = base64.urlsafe_b64encode(json.dumps(record).encode()).decode()
    return f"base64_{len(text)}_{text}"


def test_nerve_weights_labels_and_options():
    record = {**NERVE, "haproxy_server_options": "check backup"}
    (one,) = read("nerve", {"i_box1_0000000007": record}).service("web").value
    assert (one.endpoint, one.node, one.weight) == ("10.0.0.1:80", "box1", 7)
    assert one.meta == {"az": "b", "haproxy_server_options": "check backup"}


def test_nerve_carries_records_in_the_names_of_children():
    # ~~ and ?? make - and _ of the URL-safe alphabet.
    record = {**NERVE, "labels": {"x": "~~~???"}}
    assert "_" in encoded(record)[12:] or "-" in encoded(record)
    (one,) = read("nerve", {f"{encoded(record)}_0000000001": b""}).service("web").value
    assert (one.endpoint, one.meta) == ("10.0.0.1:80", {"x": "~~~???"})


@pytest.mark.parametrize("child", ["base64_3_eyJ_0000000001", "base64_999_e30_0000000001", "base64_4_!!!!_0000000001"])
def test_a_broken_name_is_a_bad_record(child: str):
    found = read("nerve", {child: b""}).service("web")
    assert found.value == ()
    assert len(found.bad) == 1


def test_a_nerve_that_restarted_counts_once_by_its_latest_child():
    children = {
        "box1_0000000009": {**NERVE, "weight": 1},
        "box1_0000000010": {**NERVE, "weight": 2},
        "box1_0000000003": {**NERVE, "weight": 3},
        "box2_0000000004": {**NERVE, "port": 81},
    }
    found = read("nerve", children).service("web").value
    assert [(i.port, i.weight) for i in found] == [(80, 2), (81, 7)]


def test_registrator_writes_its_own_names():
    record = {
        "Name": "web", "IP": "10.0.0.1", "PublicPort": 32768, "PrivatePort": 80, "ContainerID": "abc",
        "Tags": ["b", "a"], "Attrs": {"k": "v"},
    }  # fmt: skip
    (one,) = read("registrator", {"10.0.0.1:32768": record}).service("web").value
    assert (one.id, one.endpoint, one.tags, one.meta) == (
        "10.0.0.1:32768", "10.0.0.1:32768", ("a", "b"), {"k": "v"},
    )  # fmt: skip


@pytest.mark.parametrize("name", sorted(LAYOUTS))
@pytest.mark.parametrize(
    "value",
    [
        b"", b"\xff", b"[]", b"{}", b"null", b"7",
        {"id": "a", "address": "unix:/x", "host": "unix:/x", "IP": "unix:/x", "port": 1, "PublicPort": 1,
         "serviceEndpoint": {"host": "unix:/x", "port": 1}},
        {"id": "a", "address": "h", "host": "h", "IP": "h", "port": 70000, "PublicPort": 70000,
         "serviceEndpoint": {"host": "h", "port": 70000}},
        {"id": "a", "address": "h", "host": "h", "IP": "h", "port": "80", "PublicPort": "80",
         "serviceEndpoint": {"host": "h", "port": "80"}},
    ],
)  # fmt: skip
def test_what_cannot_be_an_instance_is_left_out_and_not_shown(name: str, value: Any):
    found = read(name, {"member_0000000001": value}).service("web")
    assert found.value == ()
    (bad,) = found.bad
    assert "unix" not in bad.reason
    assert bad.id


def test_an_endpoint_is_for_serversets():
    assert layout("curator", endpoint="x") is None
    assert layout("nothing", endpoint="") is None
