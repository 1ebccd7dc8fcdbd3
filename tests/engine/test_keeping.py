"""What was committed is kept whole, without secrets, and never guessed at when it is damaged."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ctemplate.engine.guards import Guards
from ctemplate.engine.keeping import Keeping, recall
from ctemplate.engine.kept import decode
from ctemplate.engine.kept_changes import Changes
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
from ctemplate.settings import Settings, Template
from ctemplate.state import State

WEB = Query(kind=Kind.SERVICE, name="web")
LISTING = Query(kind=Kind.SERVICES)
ONE = Instance(id="w1", name="web", address="::1", port=80, tags=("a",), all_checks=(Check("c", "n", "passing"),))
SICK = Instance(id="w2", name="web", address="10.0.0.1", port=81, status="critical", meta={"k": "ü"}, all_checks=None)
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


def encode(*args: Any, **options: Any) -> bytes:
    return b"".join(Changes().since(*args, **options).pieces)


def test_what_is_kept_comes_back_as_it_was():
    known = decode(encode({"/out": BASIS}, [("/out", SHRINK, 7.5)], with_keys=frozenset({"/out"})))
    assert known.bases == {"/out": BASIS}
    assert known.holds == (("/out", SHRINK, 7.5),)


def test_values_of_keys_are_left_out_of_templates_that_do_not_ask_for_them():
    raw = encode({"/out": BASIS}, [], with_keys=frozenset({"/other"}))
    assert b"s3cret" not in raw
    known = decode(raw)
    assert known.bases["/out"].given == BASIS.given
    assert {query.kind for query in BASIS.answers.keys() - known.bases["/out"].answers.keys()} == {Kind.KEY, Kind.KEYS}


def test_an_answer_that_many_templates_read_is_kept_once():
    raw = encode({"/a": BASIS, "/b": BASIS}, [], with_keys=frozenset({"/out"}))
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
        encode({"/out": BASIS}, [], with_keys=frozenset({"/out"}))[:-40],
        encode({"/out": BASIS}, [], with_keys=frozenset({"/out"})).replace(b'"reads":[0', b'"reads":[99'),
        encode({"/out": BASIS}, [], with_keys=frozenset({"/out"})).replace(b'"kind":"keys"', b'"kind":"text"'),
    ],
)
def test_what_is_damaged_or_of_another_version_is_ignored_with_a_warning(raw):
    told: list[object] = []
    known = recall(raw, where="/state/last-good.json", emit=told.append)
    assert (known.bases, known.holds) == ({}, ())
    (warning,) = told
    assert "/state/last-good.json is ignored" in warning.text()  # type: ignore[attr-defined]


def test_every_prefix_of_it_is_damaged_and_none_a_crash():
    raw = encode({"/out": BASIS}, [("/out", SHRINK, 1.0)], with_keys=frozenset({"/out"}))
    for end in range(len(raw)):
        with pytest.raises((msgspec.MsgspecError, ValueError)):
            decode(raw[:end])


def keeping_on(state: State, *, emit=print, **settings) -> tuple[Guards, Keeping, dict[str, Settings]]:
    """Something to keep, with settings that may change."""
    now = {
        "settings": Settings(templates=(Template(contents="", destination=Path("/out"), **settings),), keep_keys=True)
    }
    guards = Guards(now["settings"], emit=print)
    guards.restore({"/out": BASIS}, (), now=0.0)
    guards.changes += 1
    return guards, Keeping(guards, state, settings=lambda: now["settings"], emit=emit), now


def test_a_template_that_is_sensitive_keeps_no_values_of_keys_whatever_is_asked_for(tmp_path):
    with State(tmp_path / "state") as state:
        guards, keeping, _ = keeping_on(state, sensitive=True)
        guards.changes += 1
        asyncio.run(keeping.save())
        assert b"s3cret" not in (state.path / "last-good.json").read_bytes()


def test_what_is_said_anew_while_it_runs_holds_for_what_is_kept(tmp_path):
    with State(tmp_path / "state") as state:
        guards, keeping, now = keeping_on(state)

        async def story() -> None:
            guards.changes += 1
            await keeping.save()
            assert b"s3cret" in (state.path / "last-good.json").read_bytes()
            now["settings"] = Settings(templates=now["settings"].templates)
            guards.changes += 1
            await keeping.save()
            assert b"s3cret" not in (state.path / "last-good.json").read_bytes()

        asyncio.run(story())


def test_a_writing_that_nobody_waits_for_any_more_ends_before_the_next(tmp_path):
    with State(tmp_path / "state") as state:
        guards, keeping, _ = keeping_on(state)

        async def story() -> None:
            for _ in range(20):
                guards.changes += 1
                writing = asyncio.create_task(keeping.save())
                await asyncio.sleep(0)
                writing.cancel()
                await asyncio.wait([writing])
            guards.changes += 1
            await keeping.save()

        asyncio.run(story())
        assert decode((state.path / "last-good.json").read_bytes()).bases == {"/out": BASIS}
        assert [path.name for path in state.path.iterdir() if path.name.startswith(".last-good")] == []


def restore(guards: Guards, *ports: int) -> Basis:
    """Let other instances be what was committed."""
    given = tuple(Instance(id=f"w{port}", name="web", address="::1", port=port) for port in ports)
    basis = Basis(answers={WEB: Answer(given)}, given={PASSING: given})
    guards.restore({"/out": basis}, (), now=0.0)
    guards.changes += 1
    return basis


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"{"), lambda path: path.write_text("")])
def test_what_somebody_removes_or_overwrites_is_written_anew(tmp_path, damage):
    with State(tmp_path / "state") as state:
        guards, keeping, _ = keeping_on(state)
        file = state.path / "last-good.json"

        async def story() -> None:
            restore(guards, *range(80, 180))
            await keeping.save()
            damage(file)
            basis = restore(guards, 80, 81)
            await keeping.save()
            assert decode(file.read_bytes()).bases == {"/out": basis}

        asyncio.run(story())


def test_where_there_was_no_room_for_a_change_all_is_written_anew_when_there_is(tmp_path, monkeypatch):
    told: list[Any] = []
    with State(tmp_path / "state") as state:
        guards, keeping, _ = keeping_on(state, emit=told.append)
        file = state.path / "last-good.json"

        def full(kept) -> None:
            with file.open("ab") as half:
                half.write(next(iter(kept))[:10])
            raise OSError(errno.ENOSPC, "No space left on device")

        async def story() -> None:
            before = restore(guards, *range(80, 180))
            await keeping.save()
            with monkeypatch.context() as patched:
                patched.setattr(state, "add_to_last_good", full)
                restore(guards, 80)
                await keeping.save()
            assert decode(file.read_bytes()).bases == {"/out": before}
            after = restore(guards, 80, 81)
            await keeping.save()
            assert decode(file.read_bytes()).bases == {"/out": after}

        asyncio.run(story())
    (warning,) = told
    assert "No space left on device" in warning.text()


def test_a_change_is_added_to_what_is_there(tmp_path):
    with State(tmp_path / "state") as state:
        guards, keeping, _ = keeping_on(state)
        file = state.path / "last-good.json"

        async def story() -> None:
            restore(guards, *range(80, 180))
            await keeping.save()
            before = file.read_bytes()
            basis = restore(guards, 80)
            await keeping.save()
            assert file.read_bytes().startswith(before)
            assert decode(file.read_bytes()).bases == {"/out": basis}

        asyncio.run(story())


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), MemoryError()])
def test_after_a_change_that_may_not_have_reached_the_disk_all_is_written_anew(tmp_path, monkeypatch, error):
    with State(tmp_path / "state") as state:
        guards, keeping, _ = keeping_on(state, emit=lambda event: None)
        file = state.path / "last-good.json"
        add = state.add_to_last_good

        def added_but_not_synced(kept) -> None:
            add(kept)
            raise error

        async def story() -> None:
            restore(guards, *range(80, 180))
            await keeping.save()
            with monkeypatch.context() as patched:
                patched.setattr(state, "add_to_last_good", added_but_not_synced)
                restore(guards, 80)
                with contextlib.suppress(MemoryError):
                    await keeping.save()
            before = file.read_bytes()
            restore(guards, 80, 81)
            await keeping.save()
            assert not file.read_bytes().startswith(before)

        asyncio.run(story())


def test_what_could_not_be_written_is_tried_again_without_news(tmp_path, monkeypatch):
    monkeypatch.setattr("ctemplate.engine.keeping.LEAST_SECONDS", 0.01)
    with State(tmp_path / "state") as state:
        guards, keeping, _ = keeping_on(state, emit=lambda event: None)
        file = state.path / "last-good.json"
        write, failures = state.write_last_good, iter([OSError(errno.ENOSPC, "No space left on device")] * 2)

        async def story() -> None:
            loop, written = asyncio.get_running_loop(), asyncio.Event()

            def full_at_first(kept) -> None:
                if error := next(failures, None):
                    raise error
                write(kept)
                loop.call_soon_threadsafe(written.set)

            monkeypatch.setattr(state, "write_last_good", full_at_first)
            basis = restore(guards, 80)
            keeping.wake()
            running = asyncio.create_task(keeping.run())
            await asyncio.wait_for(written.wait(), 5)
            running.cancel()
            assert decode(file.read_bytes()).bases == {"/out": basis}

        asyncio.run(story())


def test_a_hold_that_begins_alone_is_kept_with_its_age(tmp_path):
    with State(tmp_path / "state") as state:
        guards, keeping, _ = keeping_on(state)

        async def story() -> None:
            guards.changes += 1
            await keeping.save()
            guards.restore({"/out": BASIS}, [("/out", SHRINK, 7.5)], now=time.monotonic())
            guards.changes += 1
            await keeping.save()

        asyncio.run(story())
        ((template, shrink, age),) = decode((state.path / "last-good.json").read_bytes()).holds
        assert (template, shrink) == ("/out", SHRINK)
        assert 7.5 <= age < 60


def test_what_a_process_that_was_killed_left_half_written_goes(tmp_path):
    left = tmp_path / "state" / ".last-good.json.123"
    left.parent.mkdir()
    left.write_text("s3cret")
    with State(tmp_path / "state"):
        assert not left.exists()
