"""A range of etcd that is read again by what changed holds what a read of all of it would."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctemplate.catalog.etcd import reading as module
from ctemplate.catalog.etcd.gateway import Header, Page, Pair, Span
from ctemplate.catalog.etcd.reading import Reading
from ctemplate.errors import Unavailable

SPAN = Span.below("s/")


class Store:
    """etcd's store, as its client reads it."""

    def __init__(self) -> None:
        self.revision = 1
        self.keys: dict[bytes, tuple[Pair, int]] = {}
        self.page = 1000
        self.stores = 1
        self.wholes = 0
        self.asked: list[int] = []
        self.fails = False

    def put(self, key: bytes, value: bytes) -> None:
        self.revision += 1
        self.keys[key] = Pair(key, value), self.revision

    def delete(self, key: bytes) -> None:
        self.revision += key in self.keys
        self.keys.pop(key, None)

    @property
    def pairs(self) -> list[Pair]:
        return [self.keys[key][0] for key in sorted(self.keys)]

    async def read(self, span):
        self._may_fail()
        self.wholes += 1
        return self.pairs, self.revision

    async def read_since(self, span, revision):
        self._may_fail()
        self.asked.append(revision)
        new = [self.keys[key][0] for key in sorted(self.keys) if self.keys[key][1] > revision]
        more = len(new) > self.page
        return Page(Header(7, self.revision), new[: self.page], more=more, count=len(self.keys))

    def _may_fail(self):
        if self.fails:
            raise Unavailable("away")

    async def listen(self, span):
        yield


@pytest.fixture
def store():
    return Store()


def read(reading):
    return asyncio.run(reading.read())


KEYS = st.sampled_from([b"s/a", b"s/b", b"s/b/c"])
CHANGES = st.one_of(st.tuples(st.just("put"), KEYS, st.sampled_from([b"1", b"2"])), st.tuples(st.just("delete"), KEYS))


@given(
    st.lists(st.tuples(CHANGES, st.sampled_from(["", "read", "read", "fail", "listen"]))), st.sampled_from([1, 1000])
)
def test_what_is_read_is_what_is_there_whatever_happened_between(steps, page):
    store = Store()
    store.page = page
    reading = Reading(store, SPAN)
    for (change, *arguments), then in steps:
        getattr(store, change)(*arguments)
        if then == "read":
            assert read(reading) == store.pairs
        elif then == "fail":
            store.fails = True
            with pytest.raises(Unavailable):
                read(reading)
            store.fails = False
        elif then == "listen":
            reading.listen()
    assert read(reading) == store.pairs


def test_a_changed_or_new_key_is_read_alone_and_what_did_not_change_is_the_same(store):
    store.put(b"s/a", b"1")
    reading = Reading(store, SPAN)
    first = read(reading)
    assert read(reading) is first
    store.put(b"s/b", b"1")
    store.put(b"s/a", b"2")
    assert [(pair.key, pair.value) for pair in read(reading)] == [(b"s/a", b"2"), (b"s/b", b"1")]
    read(reading)
    assert store.wholes == 1
    assert store.asked == [2, 2, store.revision]


def test_more_than_a_page_of_what_was_modified_is_no_answer(store):
    store.page = 1
    store.put(b"s/a", b"1")
    store.put(b"s/b", b"1")
    reading = Reading(store, SPAN)
    read(reading)
    store.put(b"s/a", b"2")
    store.put(b"s/b", b"2")
    assert read(reading) == store.pairs
    assert store.wholes == 2


def test_all_is_read_of_another_store(store):
    store.put(b"s/a", b"1")
    reading = Reading(store, SPAN)
    read(reading)
    store.keys, store.revision, store.stores = {b"s/a": (Pair(b"s/a", b"0"), 1)}, 1, 2
    assert [pair.value for pair in read(reading)] == [b"0"]


def test_all_is_read_after_a_deletion_a_failure_and_when_somebody_begins_to_listen(store):
    store.put(b"s/a", b"1")
    store.put(b"s/b", b"1")
    reading = Reading(store, SPAN)
    read(reading)
    store.delete(b"s/a")
    store.put(b"s/c", b"1")  # as many as before
    assert [pair.key for pair in read(reading)] == [b"s/b", b"s/c"]
    assert store.wholes == 2
    store.fails = True
    with pytest.raises(Unavailable):
        read(reading)
    store.fails = False
    read(reading)
    assert store.wholes == 3
    reading.listen()
    read(reading)
    assert store.wholes == 4


def test_all_is_read_now_and_then_whatever_is_said_to_have_changed(store, monkeypatch):
    reading = Reading(store, SPAN)
    read(reading)
    monkeypatch.setattr(module, "WHOLE_SECONDS", 0.0)
    read(reading)
    assert store.wholes == 2


def test_a_server_that_does_not_know_what_was_modified_is_read_whole(store):
    store.put(b"s/a", b"1")
    reading = Reading(store, SPAN)
    read(reading)

    async def everything(span, revision):
        return Page(Header(7, store.revision), store.pairs)

    store.read_since = everything
    store.put(b"s/b", b"1")
    assert len(read(reading)) == 2
    assert store.wholes == 2
