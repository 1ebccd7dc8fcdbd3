"""What Eureka's JSON says, in every form in which its servers write it."""

from __future__ import annotations

import json

import msgspec
import pytest

from contract.eureka_model import body, instance
from ctemplate.catalog.eureka.records import Address, Port, Reading, listing
from ctemplate.model import BadRecord, Instance

PLAIN = Reading()


def read(*instances, reading=PLAIN, **how):
    """The records by id."""
    return {id: registered.record for (_, id), registered in listing(body(list(instances), **how), reading).items()}


def test_a_registration_becomes_an_instance():
    one = instance("Web-App", "w1", 8080, metadata={"@class": "java.util.HashMap", "zone": "a", "version": "1.10"})
    assert read(one)["w1"] == Instance(
        id="w1",
        name="web-app",
        address="127.0.0.1",
        port=8080,
        node="w1.example",
        node_address="127.0.0.1",
        meta={"zone": "a", "version": "1.10"},
        status="passing",
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("UP", "passing"),
        ("OUT_OF_SERVICE", "maintenance"),
        ("DOWN", "critical"),
        ("STARTING", "critical"),
        ("UNKNOWN", "critical"),
        ("SOMETHING_NEW", "critical"),
    ],
)
def test_only_the_status_says_whether_it_serves(status: str, expected: str):
    one = instance("web", "w1", 80, status=status, overriddenStatus="UP")
    assert read(one)["w1"].status == expected


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_list_and_a_lone_object_are_the_same(single: bool, count: int):
    instances = [instance("web", f"w{number}", 80) for number in range(count)]
    assert list(read(*instances, single=single)) == [f"w{number}" for number in range(count)]


def test_one_application_of_several_may_hold_a_lone_object():
    three = [instance("web", "w1", 80), instance("api", "a1", 81), instance("api", "a2", 82)]
    assert list(read(*three, single=True)) == ["w1", "a1", "a2"]


@pytest.mark.parametrize("number", [8080, "8080"])
def test_a_port_may_be_a_number_or_text(number: object):
    assert read(instance("web", "w1", 0, port={"$": number, "@enabled": "true"}))["w1"].port == 8080


@pytest.mark.parametrize(
    ("plain", "secure", "prefer", "expected"),
    [
        ("true", "false", Port.PLAIN, (80, ())),
        ("true", "false", Port.SECURE, (80, ())),
        ("false", "true", Port.PLAIN, (443, ("secure",))),
        ("false", "true", Port.SECURE, (443, ("secure",))),
        ("true", "true", Port.PLAIN, (80, ())),
        ("true", "true", Port.SECURE, (443, ("secure",))),
        (True, False, Port.PLAIN, (80, ())),
    ],
)
def test_the_port_is_the_enabled_one_and_of_two_the_preferred(plain, secure, prefer: Port, expected):
    one = instance("web", "w1", 0, port={"$": 80, "@enabled": plain}, securePort={"$": 443, "@enabled": secure})
    found = read(one, reading=Reading(port=prefer))["w1"]
    assert (found.port, found.tags) == expected


def test_tags_and_weight_are_what_the_metadata_says():
    both = {"$": 443, "@enabled": "true"}
    one = instance("web", "w1", 80, metadata={"tags": "b, a,,", "weight": "7"}, securePort=both, port={"$": 80})
    found = read(one)["w1"]
    assert (found.tags, found.weight) == (("a", "b", "secure"), 7)
    assert read(instance("web", "w1", 80))["w1"].weight == 1


@pytest.mark.parametrize(
    ("address", "fields", "expected"),
    [
        (Address.IP, {}, "127.0.0.1"),
        (Address.HOST, {}, "w1.example"),
        (Address.IP, {"ipAddr": ""}, "w1.example"),
        (Address.HOST, {"hostName": ""}, "127.0.0.1"),
    ],
)
def test_the_address_is_the_ip_or_the_host_name_and_the_other_where_it_is_missing(address, fields, expected: str):
    assert read(instance("web", "w1", 80, **fields), reading=Reading(address=address))["w1"].address == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "w1"),
        ({"instanceId": "", "dataCenterInfo": {"metadata": {"instance-id": "i-1"}}}, "i-1"),
        ({"instanceId": ""}, "w1.example"),
    ],
)
def test_the_id_is_the_instance_id_else_amazons_else_the_host_name(fields, expected: str):
    assert list(read(instance("web", "w1", 80, **fields))) == [expected]


def test_the_zone_is_amazons_where_the_metadata_has_none():
    amazon = {"name": "Amazon", "metadata": {"instance-id": "i-1", "availability-zone": "us-east-1c"}}
    assert read(instance("web", "w1", 80, dataCenterInfo=amazon))["w1"].meta == {"zone": "us-east-1c"}
    own = instance("web", "w1", 80, dataCenterInfo=amazon, metadata={"zone": "b"})
    assert read(own)["w1"].meta == {"zone": "b"}


@pytest.mark.parametrize(
    "fields",
    [
        {"ipAddr": "unix:/run/x"},
        {"ipAddr": "", "hostName": ""},
        {"port": {"$": 99999, "@enabled": "true"}},
        {"port": {"$": "8080; evil", "@enabled": "true"}},
        {"port": {"$": 0, "@enabled": "true"}},
        {"port": {"$": 80, "@enabled": "false"}},
        {"port": "evil"},
        {"ipAddr": {"evil": 1}},
        {"metadata": ["evil"]},
        {"metadata": {"weight": "evil"}},
        {"metadata": {"weight": "-1"}},
        {"metadata": {"weight": 70000}},
    ],
)
def test_what_cannot_be_an_instance_is_left_out_alone_and_its_value_is_not_said(fields):
    records = read(instance("web", "w0", 80), instance("web", "w1", 80, **fields))
    assert isinstance(records.pop("w0"), Instance)
    (bad,) = records.values()
    assert isinstance(bad, BadRecord)
    assert bad.name == "web"
    assert "evil" not in bad.reason
    assert "unix" not in bad.reason


@pytest.mark.parametrize("hash", ["", "UP_7_", "DOWN_1_UP_3_", "nonsense"])
def test_a_wrong_hash_beside_a_list_changes_nothing(hash: str):
    assert list(read(instance("web", "w1", 80), hash=hash)) == ["w1"]


@pytest.mark.parametrize("hash_key", ["apps__hashcode", "appsHashCode", "apps_hashcode"])
def test_no_list_is_empty_only_where_the_hash_counts_nothing(hash_key: str):
    assert listing(json.dumps({"applications": {"versions__delta": 1, hash_key: ""}}).encode(), PLAIN) == {}
    with pytest.raises(msgspec.DecodeError):
        listing(json.dumps({"applications": {"versions__delta": 1, hash_key: "UP_3_"}}).encode(), PLAIN)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"{}", b"null", b"<html>", b'{"applications": null}', b'{"applications": {}}',
        b'{"applications": {"application": 7}}', b'{"applications": {"application": [{"instance": []}]}}',
        b'{"applications": {"application": [{"name": "A", "instance": [{"inst',
    ],
)  # fmt: skip
def test_what_is_no_listing_is_no_answer(text: bytes):
    with pytest.raises(msgspec.DecodeError):
        listing(text, PLAIN)


def test_of_two_records_with_one_id_the_later_counts():
    old = instance("web", "w1", 80, lastUpdatedTimestamp="1")
    new = instance("web", "w1", 81, lastUpdatedTimestamp=2)
    assert read(new, old)["w1"].port == read(old, new)["w1"].port == 81
