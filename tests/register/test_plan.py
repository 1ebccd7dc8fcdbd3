"""What an instance is in the registry, and what has to be done so that the registry holds it and nothing stale."""

from __future__ import annotations

import msgspec
import pytest

from ctemplate.model import Check, Instance
from ctemplate.register.plan import Present, plan
from ctemplate.register.registration import registration


def instance(id_: str = "h1:web:80", *, health: str = "", **fields) -> Instance:
    checks = (Check("docker-health", "", health),) if health else ()
    given = {"name": "web", "address": "10.0.0.1", "port": 8080, "status": health or "passing", "all_checks": checks}
    return Instance(id=id_, **(given | fields))


def wanted(*instances: Instance):
    return {entry.id: registration(entry, owner="h1") for entry in instances}


def held(entry: Instance, **changes) -> Present:
    """What a registry holds after `entry` was registered."""
    made = registration(entry, owner="h1")
    present = Present(
        id=made.id,
        name=made.name,
        address=made.address,
        port=made.port,
        tags=made.tags,
        meta=dict(made.meta),
        checks=dict.fromkeys(made.check_ids, made.health or "passing"),
    )
    return msgspec.structs.replace(present, **changes)


def planned(instances, present, **options):
    return [str(action) for action in plan(wanted(*instances), {p.id: p for p in present}, owner="h1", **options)]


@pytest.mark.parametrize(
    ("meta", "check"),
    [
        ({}, None),
        ({"check_http": "/health"}, {"HTTP": "http://10.0.0.1:8080/health", "Interval": "10s"}),
        (
            {"check_http": "/h", "check_interval": "15s", "check_timeout": "1s", "check_http_method": "HEAD"},
            {"HTTP": "http://10.0.0.1:8080/h", "Interval": "15s", "Timeout": "1s", "Method": "HEAD"},
        ),
        (
            {"check_https": "/h", "check_tls_skip_verify": "true"},
            {"HTTP": "https://10.0.0.1:8080/h", "Interval": "10s", "TLSSkipVerify": True},
        ),
        ({"check_tcp": "true"}, {"TCP": "10.0.0.1:8080", "Interval": "10s"}),
        ({"check_ttl": "30s"}, {"TTL": "30s"}),
        (
            {"check_grpc": "1", "check_grpc_use_tls": "1", "check_tls_skip_verify": "1", "check_timeout": "2s"},
            {"GRPC": "10.0.0.1:8080", "GRPCUseTLS": True, "TLSSkipVerify": True, "Interval": "10s", "Timeout": "2s"},
        ),
        (
            {"check_script": "nc -z $SERVICE_IP $SERVICE_PORT"},
            {"Args": ["nc", "-z", "10.0.0.1", "8080"], "Interval": "10s"},
        ),
        (
            {"check_tcp": "1", "check_http": "/first", "check_initial_status": "passing"},
            {"HTTP": "http://10.0.0.1:8080/first", "Interval": "10s", "Status": "passing"},
        ),
        (
            {"check_ttl": "30s", "check_deregister_after": "10m"},
            {"TTL": "30s", "DeregisterCriticalServiceAfter": "10m"},
        ),
    ],
)
def test_checks_are_those_that_registrator_makes(meta, check):
    made = registration(instance(meta=meta), owner="h1")
    named = {"CheckID": "service:h1:web:80", "Name": "Service 'web' check"}
    assert made.check == (named | check if check else None)
    assert made.complaints == ()
    assert made.meta == {**meta, "ctemplate-owner": "h1"}


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        ({"check_cmd": "/check.sh"}, "SERVICE_CHECK_CMD runs a script of Registrator's image"),
        ({"check_script": "sh -c 'x"}, "SERVICE_CHECK_SCRIPT is no command line"),
        ({"a b": "x"}, "left out: 'a b'"),
        ({"long": "x" * 513}, "left out: 'long'"),
        ({"consul-x": "1"}, "left out: 'consul-x'"),
        ({"ctemplate-owner": "another"}, "left out: 'ctemplate-owner'"),
    ],
)
def test_what_is_asked_for_and_not_done_is_said(meta, words):
    made = registration(instance(meta=meta), owner="h1")
    assert made.check is None
    assert words in made.complaints[0]
    assert made.meta["ctemplate-owner"] == "h1"


def test_an_ipv6_address_stands_in_brackets_in_a_check():
    made = registration(instance(address="fd00::1", meta={"check_http": "/"}), owner="h1")
    assert made.check is not None
    assert made.check["HTTP"] == "http://[fd00::1]:8080/"


def test_what_is_new_is_registered_and_what_is_equal_is_not():
    assert planned([instance()], []) == ["register web h1:web:80 at 10.0.0.1:8080: new"]
    assert planned([instance()], [held(instance())]) == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "other"}, "name"),
        ({"address": "10.0.0.2"}, "address"),
        ({"port": 1, "tags": ("x",)}, "port, tags"),
        ({"meta": {"ctemplate-owner": "h1", "old": "1"}}, "meta"),
        ({"checks": {"docker-health:h1:web:80": "passing"}}, "checks"),
        ({"checks": {"service:h1:web:80": "passing"}}, "checks"),
    ],
)
def test_what_differs_is_registered_again(changes, why):
    assert planned([instance()], [held(instance(), **changes)]) == [f"register web h1:web:80 at 10.0.0.1:8080: {why}"]


def test_checks_that_others_put_on_a_service_are_theirs():
    extra = {"_service_maintenance:h1:web:80": "critical", "mine": "passing"}
    assert planned([instance()], [held(instance(), checks=extra)]) == []


def test_the_status_of_a_health_check_is_reported_when_it_differs_and_at_each_refresh():
    well, ill = instance(health="passing"), instance(health="critical")
    assert planned([ill], [held(well)]) == ["web h1:web:80 is critical"]
    assert planned([well], [held(well)]) == []
    assert planned([well], [held(well)], refresh=True) == ["web h1:web:80 is passing"]


def test_what_is_gone_is_removed_unless_that_is_withheld():
    assert planned([], [held(instance())]) == ["deregister web h1:web:80: gone"]
    assert planned([], [held(instance())], remove=False) == []


@pytest.mark.parametrize("meta", [{}, {"ctemplate-owner": "h2"}])
def test_what_is_not_marked_as_ours_is_never_touched(meta):
    other = held(instance(), meta=meta)
    assert planned([], [other]) == []
    (said,) = planned([instance(port=9)], [other])
    assert "left alone" in said


@pytest.mark.parametrize(
    ("id_", "taken"),
    [
        ("h1:web.0:80", True),
        ("h1:web.0:53:udp", True),
        ("h2:web.0:80", False),
        ("web", False),
        ("h1:web", False),
        ("h1:web:80:x", False),
        ("xh1:web:80", False),
    ],
)
def test_with_adopt_what_registrator_left_on_this_machine_goes(id_, taken):
    left = held(instance(id_), meta={"region": "eu"})
    assert planned([], [left], adopt=True) == ([f"deregister web {id_}: left over by Registrator"] if taken else [])
    assert planned([], [left]) == []


def test_with_adopt_what_is_still_there_is_taken_over_without_a_gap():
    left = held(instance(), meta={})
    assert planned([instance()], [left], adopt=True) == ["register web h1:web:80 at 10.0.0.1:8080: meta"]


def test_with_adopt_an_id_that_the_container_chose_is_taken_over_by_its_name():
    assert planned([instance("web.1")], [held(instance("web.1"), meta={})], adopt=True) != []
    (said,) = planned([instance("web.1")], [held(instance("web.1"), name="other", meta={})], adopt=True)
    assert "left alone" in said


def test_another_machines_mark_is_never_adopted():
    other = held(instance(), meta={"ctemplate-owner": "h2"})
    assert planned([], [other], adopt=True) == []
