from __future__ import annotations

from pathlib import Path

import pytest

from ctemplate.changes import Broken, Committed, Outcome, Proof, Rejected, RolledBack, Step, Unchanged
from ctemplate.engine.grouping import Group
from ctemplate.engine.schedule import Schedule
from ctemplate.model import Failed, Kind, Missing, Query, Rendering
from ctemplate.settings import Template, Wait

WEB = Query(kind=Kind.SERVICE, name="web")
COMMITTED = Committed(proof=Proof.NEW_WORKERS)
REJECTED = Rejected(step=Step.CHECK, reason="")
ROLLED_BACK = RolledBack(step=Step.VERIFY, reason="")


def rendering(name: str, content: bytes = b"x") -> Rendering:
    return Rendering(template=name, content=content, reads=frozenset(), instances=1)


def missing(name: str) -> Missing:
    return Missing(template=name, queries=frozenset({WEB}), keys=frozenset(), reads=frozenset())


def failed(name: str) -> Failed:
    return Failed(template=name, reason="", reads=frozenset())


class Clock:
    """A schedule with a clock beside it."""

    def __init__(self, *names: str, once: bool = False, atomic: bool = False, wait: Wait | None = None) -> None:
        templates = tuple(Template(contents="", destination=Path(name)) for name in names)
        group = Group(name="g", templates=templates, checks=(), atomic=atomic, wait=wait, cooldown=2.0)
        self.schedule = Schedule(group, once=once)
        self.now = 0.0

    def offer(self, *resolutions, edited: bool = False) -> None:
        for resolution in resolutions:
            self.schedule.offer(resolution, now=self.now, edited=edited)

    @property
    def is_due(self) -> bool:
        due = self.schedule.due()
        return due is not None and due <= self.now

    def commit(self, **outcomes: Outcome) -> list[str]:
        """Take what is due, with the given outcomes (Committed for the rest); return the names taken."""
        assert self.is_due
        names = [template.name for template, _ in self.schedule.take(now=self.now)]
        self.schedule.note({name: outcomes.get(name, COMMITTED) for name in names}, now=self.now, random=0.5)
        return names


@pytest.mark.parametrize("outcome", [COMMITTED, Committed(proof=Proof.NEW_WORKERS, pending="later"), ROLLED_BACK])
def test_what_comes_of_a_template_that_is_no_more_is_nothing_to_try_again(outcome):
    clock = Clock("a")
    clock.offer(rendering("a"))
    clock.commit()
    clock.schedule.note({"gone": outcome}, now=clock.now, random=0.5)
    assert clock.schedule.next_try("gone") is None
    assert not clock.is_due


def test_the_first_commit_waits_for_the_last_template():
    clock = Clock("a", "b")
    clock.offer(rendering("a"), missing("b"))
    assert not clock.is_due
    clock.offer(rendering("b"))
    assert clock.commit() == ["a", "b"]


def test_the_first_commit_waits_ten_seconds_at_most():
    clock = Clock("a", "b")
    clock.offer(rendering("a"), missing("b"))
    clock.now = 10.0
    assert clock.commit() == ["a"]
    clock.offer(rendering("b"))
    clock.now = 12.0
    assert clock.commit() == ["a", "b"]


def test_in_once_a_group_that_misses_data_never_commits():
    clock = Clock("a", "b", once=True)
    clock.offer(rendering("a"), missing("b"))
    assert clock.schedule.due() is None


def test_a_template_that_cannot_render_does_not_stop_the_others():
    clock = Clock("a", "b")
    clock.offer(rendering("a"), failed("b"))
    assert clock.commit() == ["a"]


def test_a_template_that_no_longer_renders_keeps_its_last_content():
    clock = Clock("a")
    clock.offer(rendering("a"))
    clock.commit()
    clock.offer(failed("a"))
    assert clock.schedule.due() is None


def test_the_same_content_again_is_no_change():
    clock = Clock("a")
    clock.offer(rendering("a"))
    clock.commit()
    clock.offer(rendering("a"))
    assert clock.schedule.due() is None


def test_changes_within_the_cooldown_become_one_commit():
    clock = Clock("a")
    clock.offer(rendering("a"))
    clock.commit()
    clock.now = 0.5
    clock.offer(rendering("a", b"y"))
    clock.offer(rendering("a", b"z"))
    assert not clock.is_due
    clock.now = 2.0
    assert clock.commit() == ["a"]
    assert clock.schedule.due() is None


def test_what_changed_nothing_on_disk_starts_no_cooldown():
    clock = Clock("a")
    clock.offer(rendering("a"))
    clock.commit(a=Unchanged())
    clock.offer(rendering("a", b"y"))
    assert clock.is_due


def test_with_wait_only_the_first_commit_is_at_once():
    clock = Clock("a", wait=Wait(1.0, 4.0))
    clock.offer(rendering("a"))
    clock.commit()
    clock.offer(rendering("a", b"y"))
    assert clock.schedule.due() == 1.0


def test_rejected_content_is_held_while_others_go_on():
    clock = Clock("a", "b")
    clock.offer(rendering("a"), rendering("b"))
    clock.commit(b=REJECTED)
    clock.now = 2.0
    clock.offer(rendering("a", b"y"))
    assert clock.commit() == ["a"]


def test_rejected_content_is_tried_again_at_a_growing_pace():
    clock = Clock("a")
    clock.offer(rendering("a"))
    clock.commit(a=REJECTED)
    delays = []
    for _ in range(8):
        due = clock.schedule.due()
        assert due is not None
        delays.append(due - clock.now)
        clock.now = due
        assert clock.commit(a=REJECTED) == ["a"]
    assert delays == [5, 10, 20, 40, 80, 160, 300, 300]


def test_other_content_than_the_rejected_is_tried_by_the_cooldown():
    clock = Clock("a")
    clock.offer(rendering("a"))
    clock.commit(a=REJECTED)
    clock.offer(rendering("a", b"better"))
    clock.now = 2.0
    assert clock.commit() == ["a"]
    assert clock.schedule.due() is None


def test_what_was_rolled_back_is_not_tried_sooner_because_data_change():
    clock = Clock("a")
    clock.offer(rendering("a"))
    clock.commit(a=ROLLED_BACK)
    clock.now = 2.0
    clock.offer(rendering("a", b"y"))
    assert clock.is_due
    assert clock.commit() == []
    clock.now = 30.0
    assert clock.commit() == ["a"]


def test_what_was_rolled_back_is_tried_at_once_when_its_text_is_edited():
    clock = Clock("a")
    clock.offer(rendering("a"))
    clock.commit(a=ROLLED_BACK)
    clock.now = 2.0
    clock.offer(rendering("a", b"mended"), edited=True)
    assert clock.commit() == ["a"]


def test_an_atomic_group_is_held_as_one_until_something_that_was_refused_changes():
    clock = Clock("a", "b", atomic=True)
    clock.offer(rendering("a"), rendering("b"))
    clock.commit(a=REJECTED, b=REJECTED)
    clock.now = 2.0
    clock.offer(rendering("a", b"y"))
    assert clock.commit() == ["a", "b"]


def test_an_atomic_group_that_was_rolled_back_stays_held_when_data_change():
    clock = Clock("a", "b", atomic=True)
    clock.offer(rendering("a"), rendering("b"))
    clock.commit(a=ROLLED_BACK, b=ROLLED_BACK)
    clock.now = 2.0
    clock.offer(rendering("a", b"y"))
    assert clock.commit() == []


def test_a_pending_command_holds_no_file_and_is_run_again():
    clock = Clock("a")
    clock.offer(rendering("a"))
    clock.commit(a=Committed(proof=Proof.NONE, pending="exit 1"))
    clock.now = 2.0
    clock.offer(rendering("a", b"y"))
    assert clock.commit(a=Committed(proof=Proof.NONE, pending="exit 1")) == ["a"]
    due = clock.schedule.due()
    assert due is not None
    clock.now = due
    assert clock.commit() == ["a"]
    assert clock.schedule.due() is None


@pytest.mark.parametrize("seconds", [2.0, 29.0])
def test_a_broken_group_is_frozen_until_its_restore_is_tried_again(seconds: float):
    clock = Clock("a", "b")
    clock.offer(rendering("a"), rendering("b"))
    clock.commit(a=Broken(reason=""))
    clock.now = seconds
    clock.offer(rendering("b", b"y"))
    assert not clock.is_due
    clock.now = 30.0
    assert clock.commit() == ["a", "b"]
