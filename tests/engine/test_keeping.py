"""What was committed is kept whole, without secrets, and never guessed at when it is damaged."""

from __future__ import annotations

import msgspec
import pytest

from ctemplate.engine.keeping import decode, encode, recall
from ctemplate.model import (
    Answer,
    BadRecord,
    Basis,
    Check,
    Instance,
    KeyValue,
    Kind,
    Node,
    NodeServices,
    Query,
    ServiceName,
    Shrink,
)
from ctemplate.render.services import Selection

WEB = Query(kind=Kind.SERVICE, name="web")
LISTING = Query(kind=Kind.SERVICES)
ONE = Instance(id="w1", name="web", address="::1", port=80, tags=("a",), checks=(Check("c", "n", "passing"),))
SICK = Instance(id="w2", name="web", address="10.0.0.1", port=81, status="critical", meta={"k": "ü"})
GONE = Instance(id="w3", name="web", address="10.0.0.3", port=82)
PASSING, ANY = Selection((WEB,)), Selection((WEB,), (), None)
BASIS = Basis(
    answers={
        WEB: Answer((ONE, SICK), (BadRecord("web", "n", "x", "port"),)),
        LISTING: Answer((ServiceName("web", ("a",)),)),
        Query(kind=Kind.NODES): Answer((Node(name="n", meta={"rack": "1"}),)),
        Query(kind=Kind.NODE, name="n"): Answer(NodeServices(Node(name="n"), (ONE,))),
        Query(kind=Kind.NODE, name="no"): Answer(None),
        Query(kind=Kind.DATACENTERS): Answer(("dc1",)),
        Query(kind=Kind.KEY, name="pw"): Answer("s3cret"),
        Query(kind=Kind.KEYS, name="app"): Answer((KeyValue("pw", "s3cret"),)),
    },
    given={PASSING: (ONE, GONE), ANY: (ONE, SICK)},
    listed={LISTING: (ServiceName("api"), ServiceName("web", ("a",)))},
)
SHRINK = Shrink(selection=PASSING, before=2, after=1, lost=frozenset({("", "w3")}), reason="why", held=True)


def test_what_is_kept_comes_back_as_it_was():
    known = decode(encode({"/out": BASIS}, [("/out", SHRINK, 7.5)], without_keys=frozenset()))
    assert known.bases == {"/out": BASIS}
    assert known.holds == (("/out", SHRINK, 7.5),)


def test_values_of_keys_are_left_out_of_templates_that_do_not_ask_for_them():
    raw = encode({"/out": BASIS}, [], without_keys=frozenset({"/out"}))
    assert b"s3cret" not in raw
    known = decode(raw)
    assert known.bases["/out"].given == BASIS.given
    assert {query.kind for query in BASIS.answers.keys() - known.bases["/out"].answers.keys()} == {Kind.KEY, Kind.KEYS}


def test_an_answer_that_many_templates_read_is_kept_once():
    raw = encode({"/a": BASIS, "/b": BASIS}, [], without_keys=frozenset())
    assert raw.count("ü".encode()) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 2, "written": 0}',
        b'{"version": 1}',
        b"\xff\xfe",
        encode({"/out": BASIS}, [], without_keys=frozenset())[:-40],
        encode({"/out": BASIS}, [], without_keys=frozenset()).replace(b'"reads":[0', b'"reads":[99'),
        encode({"/out": BASIS}, [], without_keys=frozenset()).replace(b'"kind":"keys"', b'"kind":"text"'),
    ],
)
def test_what_is_damaged_or_of_another_version_is_ignored_with_a_warning(raw):
    told: list[object] = []
    known = recall(raw, where="/state/last-good.json", emit=told.append)
    assert (known.bases, known.holds) == ({}, ())
    (warning,) = told
    assert "/state/last-good.json is ignored" in warning.text()  # type: ignore[attr-defined]


def test_every_prefix_of_it_is_damaged_and_none_a_crash():
    raw = encode({"/out": BASIS}, [("/out", SHRINK, 1.0)], without_keys=frozenset())
    for end in range(len(raw)):
        with pytest.raises((msgspec.MsgspecError, ValueError)):
            decode(raw[:end])
