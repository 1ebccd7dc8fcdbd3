"""What `-once` says at its end of what was missing."""

from ctemplate.engine.once import ended_without
from ctemplate.model import Answer, Failure, Kind, Query, Snapshot


def service(name):
    return Query(kind=Kind.SERVICE, name=str(name))


def failure(reason):
    return Failure(reason=reason, refused=True, since=1.0)


def told(missing, snapshot):
    event = ended_without(frozenset(missing), snapshot)
    return event.text().split("\n") if event else []


def test_nothing_is_said_where_nothing_is_missing():
    assert told((), Snapshot({})) == []


def test_each_query_is_said_with_its_own_reason():
    key, unheard = Query(kind=Kind.KEY, name="a"), service("db")
    snapshot = Snapshot({key: Answer(None)}, {service("web"): failure("403 from the agent")})
    assert told({unheard, key, service("web")}, snapshot) == [
        "ended without",
        "key(a): it does not exist, and the template has no default",
        "service(db): no answer yet",
        "service(web): 403 from the agent",
    ]


def test_what_is_answered_when_nobody_waits_any_more_is_not_said_to_be_nowhere():
    assert told({service("web")}, Snapshot({service("web"): Answer(())}))[1:] == [
        "service(web): its answer came too late"
    ]


def test_a_thousand_that_are_missing_for_one_reason_are_one_line():
    missing = {service(number) for number in range(1000)}
    assert told(missing, Snapshot({})) == ["ended without", "service(0) and 999 others: no answer yet"]


def test_reasons_that_name_their_own_query_are_one_reason():
    missing = {service(f"s{number}") for number in range(9)}
    failures = {query: failure(f"/v1/health/service/{query.name}: 403") for query in missing}
    assert told(missing, Snapshot({}, failures))[1:] == ["service(s0) and 8 others: /v1/health/service/s0: 403"]
