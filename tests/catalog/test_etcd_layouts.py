"""Records as other tools write them into etcd, and what each layout makes of them."""

from __future__ import annotations

import json

import pytest

from ctemplate.catalog.etcd.layouts import LAYOUTS, layout
from ctemplate.model import ServiceName


def read(name: str, pairs: dict[str, object], **fields: str):
    chosen = layout(name, fields=fields)
    assert chosen is not None
    return chosen((path, value if isinstance(value, bytes) else _text(value).encode()) for path, value in pairs.items())


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def endpoints(found, service: str = "web") -> list[str]:
    return [instance.endpoint for instance in found.service(service).value]


def reasons(found, service: str = "web") -> list[str]:
    return [bad.reason for bad in found.service(service).bad]


def test_registrator_is_ip_and_port_by_an_id_with_colons():
    found = read(
        "registrator",
        {"web/h2:web:80": "10.0.0.2:8002", "web/h1:web:80:udp": "10.0.0.1:8001", "api/x": "[fd00::1]:1", "stray": "x"},
    )
    assert [(i.id, i.node, i.endpoint) for i in found.service("web").value] == [
        ("h1:web:80:udp", "h1", "10.0.0.1:8001"),
        ("h2:web:80", "h2", "10.0.0.2:8002"),
    ]
    assert endpoints(found, "api") == ["[fd00::1]:1"]
    assert found.services().value == (ServiceName("api"), ServiceName("web"))


def test_confd_is_host_and_port_or_an_object_whose_keys_are_settable():
    pairs = {
        "web/app1": "10.0.1.100:80",
        "web/cust1/2": {"IP": "10.0.0.2", "Port": "81", "zone": "b", "canary": True, "weight": 3, "tags": ["y", "x"]},
        "web/bare": "host.example\n",
        "web/dir/": "",
    }
    found = read("confd", pairs, address="IP", port="Port")
    assert [(i.id, i.endpoint, i.weight, i.tags, i.meta) for i in found.service("web").value] == [
        ("app1", "10.0.1.100:80", 1, (), {}),
        ("bare", "host.example:0", 1, (), {}),
        ("cust1/2", "10.0.0.2:81", 3, ("x", "y"), {"zone": "b", "canary": "true"}),
    ]


def test_skydns_is_host_and_port_by_a_reversed_domain():
    pairs = {
        "web/a": {"host": "10.0.0.1", "port": 80, "priority": 10, "weight": 5, "text": "t"},
        "db": {"host": "db.x"},
    }
    found = read("skydns", pairs)
    assert [(i.endpoint, i.weight, i.meta) for i in found.service("web").value] == [
        ("10.0.0.1:80", 5, {"text": "t", "priority": "10"})
    ]
    assert endpoints(found, "db") == ["db.x:0"]


def test_grpc_names_hold_slashes_and_a_deleted_address_is_none():
    pairs = {
        "my/service/10.0.0.1:80": {"Op": 0, "Addr": "10.0.0.1:80", "Metadata": {"v": 2}},
        "my/service/10.0.0.2:80": {"Op": 1, "Addr": "10.0.0.2:80", "Metadata": None},
    }
    found = read("grpc", pairs)
    (one,) = found.service("my/service").value
    assert (one.endpoint, one.meta) == ("10.0.0.1:80", {"v": "2"})


@pytest.mark.parametrize("name", sorted(LAYOUTS))
@pytest.mark.parametrize(
    "value",
    [b"\xff", b"", b"{", b"[]", b'{"host":7}', b'{"Addr":"10.0.0.1"}', b"unix:/run/x", b"127.1:80"],
)
def test_what_cannot_be_an_instance_is_left_out_and_not_shown(name: str, value: bytes):
    found = LAYOUTS[name]([("web/bad", value), ("web/good", b"10.0.0.1:80")] if name in ("registrator", "confd") else [
        ("web/bad", value), ("web/good", b'{"host":"10.0.0.1","port":80,"Addr":"10.0.0.1:80"}')
    ])  # fmt: skip
    assert endpoints(found) == ["10.0.0.1:80"]
    (reason,) = reasons(found)
    assert "127.1" not in reason
    assert "unix" not in reason


@pytest.mark.parametrize(
    "record",
    [
        {"address": "10.0.0.1", "port": "http"},
        {"address": "10.0.0.1", "port": 70000},
        {"address": ["10.0.0.1"], "port": 1},
        {"address": "10.0.0.1", "port": 1, "weight": -1},
        {"address": "10.0.0.1", "port": 1, "weight": 1.5},
        {"address": "10.0.0.1", "port": True},
        {"address": "10.0.0.1", "port": 1, "tags": [1]},
    ],
)
def test_every_field_of_an_object_is_checked(record: dict[str, object]):
    found = read("confd", {"web/a": record})
    assert endpoints(found) == []
    assert len(reasons(found)) == 1


def test_fields_are_for_confd_and_only_those_there_are():
    assert layout("registrator", fields={"address": "x"}) is None
    assert layout("confd", fields={"adress": "x"}) is None
    assert layout("nothing", fields={}) is None
