"""How a loss that is held begins, ends and is released, in virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctemplate.engine.guards import ASK_AGAIN_SECONDS, Guards
from ctemplate.engine.holding import HoldEnded, HoldReleased, ServiceHeld, ShrinkPassed
from ctemplate.model import Answer, Instance, Kind, Query, Rendering, Snapshot
from ctemplate.render import Renderer
from ctemplate.settings import FOREVER, Guard, Settings, Template

WEB = Query(kind=Kind.SERVICE, name="web")
OUT = Path("/etc/out")


def instances(count: int) -> tuple[Instance, ...]:
    return tuple(Instance(id=f"w{n}", name="web", address="10.0.0.1", port=n + 1, node=f"n{n}") for n in range(count))


class Desk:
    """One template over `web`, its guards, a clock, and what was told."""

    def __init__(self, guard: Guard, **more) -> None:
        self.told: list[object] = []
        template = Template(contents='{% for i in service("web") %}{{ i.id }} {% endfor %}', destination=OUT)
        self.settings = Settings(templates=(template,), guard=guard, **more)
        self.guards = Guards(self.settings, emit=self.told.append)
        self.renderer = Renderer([template], environ={})
        self.template = template
        self.now = 1000.0
        self.rendering: Rendering

    def see(self, count: int) -> int:
        """Render over so many instances; return how many the template was given."""
        return self.see_these(instances(count))

    def see_these(self, found) -> int:
        snapshot = Snapshot(answers={WEB: Answer(tuple(found))})
        seen = self.renderer.resolve(self.template, snapshot, baseline=self.guards.baseline(str(OUT)))
        assert isinstance(seen, Rendering)
        self.guards.note(seen, now=self.now)
        self.rendering = seen
        return seen.instances

    def commit(self, count: int) -> None:
        self.see(count)
        self.guards.committed(self.rendering)

    def leader(self, count: int) -> bool:
        """Let the leader answer whatever is asked of it now; tell whether something was released."""
        asked = self.guards.to_ask(now=self.now)
        said = [self.guards.leader_said(hold, instances(count), now=self.now) for hold in asked]
        return any(said)

    def of(self, kind: type) -> list[object]:
        return [event for event in self.told if type(event) is kind]


@pytest.fixture
def desk():
    desk = Desk(Guard())
    desk.commit(10)
    return desk


def test_a_hold_is_told_once_with_all_that_a_person_needs(desk):
    desk.see(4)
    desk.see(3)
    (told,) = desk.of(ServiceHeld)
    for word in ("web is held", "10 instances stay", "has 4", "6 of 10", "60 s", "`ctemplate release web`"):
        assert word in told.text()


def test_the_leader_is_asked_at_once_and_before_it_goes_through(desk):
    desk.see(4)
    assert not desk.leader(4)
    assert desk.guards.next_ask() == desk.now + 60
    desk.now += 60
    assert desk.leader(4)
    assert desk.see(4) == 4
    assert [type(event) for event in desk.told] == [ServiceHeld, HoldReleased]


def test_what_the_leader_does_not_confirm_never_goes_through(desk):
    desk.see(0)
    desk.leader(10)
    desk.now += 3600
    assert not desk.leader(10)
    assert desk.see(0) == 10
    assert "stale" in desk.told[1].text()
    assert desk.guards.next_ask() == desk.now + ASK_AGAIN_SECONDS


def test_a_leader_that_cannot_be_asked_confirms_nothing(desk):
    desk.see(0)
    desk.now += 3600
    (hold,) = desk.guards.to_ask(now=desk.now)
    desk.guards.leader_silent(hold, "no leader", now=desk.now)
    assert desk.see(0) == 10
    desk.now += ASK_AGAIN_SECONDS
    assert desk.leader(0)
    assert desk.see(0) == 0


def test_a_hold_ends_at_once_when_the_instances_are_back(desk):
    desk.see(2)
    desk.now += 5
    assert desk.see(10) == 10
    (ended,) = desk.of(HoldEnded)
    assert "after 5 s: its instances are back" in ended.text()
    assert desk.guards.holds == ()


def test_instances_that_come_back_one_by_one_are_kept_until_the_last(desk):
    desk.see(0)
    assert [desk.see(count) for count in (1, 5, 9)] == [10, 10, 10]
    desk.see(10)
    assert desk.guards.holds == ()


def test_others_in_the_same_number_end_a_hold_once_they_are_committed(desk):
    others = [Instance(id=f"n{n}", name="web", address="10.0.0.2", port=n + 1, node="new") for n in range(10)]
    assert desk.see_these(others) == 20
    desk.guards.committed(desk.rendering)
    assert desk.see_these(others[:9]) == 20
    assert desk.see_these(others) == 10
    assert "others took the place" in desk.of(HoldEnded)[0].text()


def test_a_person_releases_by_the_name_of_the_service(desk):
    desk.see(2)
    assert desk.guards.release("other", now=desk.now) == []
    assert len(desk.guards.release("web", now=desk.now)) == 1
    assert desk.see(2) == 2


def test_what_is_lost_beyond_what_was_released_is_judged_anew(desk):
    desk.see(4)
    desk.guards.release("web", now=desk.now)
    assert desk.see(1) == 4, "3 of the 4 that are left are too many"


def test_a_hold_for_ever_is_asked_about_once_and_waits_for_a_person():
    desk = Desk(Guard(max_hold=FOREVER))
    desk.commit(10)
    desk.see(0)
    desk.leader(0)
    assert desk.guards.next_ask() is None
    assert "until somebody says" in desk.told[0].text()


def test_a_hold_of_no_time_lasts_until_the_leader_confirms_it():
    desk = Desk(Guard(max_hold=0))
    desk.commit(10)
    assert desk.see(0) == 10
    assert desk.leader(0)
    assert desk.see(0) == 0


def test_a_hold_keeps_its_age_over_a_restart(desk):
    desk.see(2)
    (hold,) = desk.guards.holds
    again = Desk(Guard())
    again.guards.restore(desk.guards.bases, [(hold.template, hold.shrink, 58.0)], now=again.now)
    assert again.see(2) == 10
    assert again.told == [], "it was told before the restart"
    again.now += 2
    assert again.leader(2)
    assert again.see(2) == 2


def test_a_rendering_of_the_same_bytes_moves_the_baseline():
    desk = Desk(Guard())
    desk.template = Template(contents='{{ service("web")|length > 2 }}', destination=OUT, format="text")
    desk.renderer = Renderer([desk.template], environ={})
    desk.commit(10)
    assert [desk.see(count) for count in (6, 4, 3)] == [6, 4, 3]


def test_each_commit_moves_the_baseline(desk):
    for count in (5, 3, 2, 1):
        desk.commit(count)
    assert desk.told == []
    assert desk.see(0) == 1, "but the last one stays"


def test_a_service_may_have_limits_of_its_own_and_a_template_before_it():
    desk = Desk(Guard(), service_guards={"web": {"min_instances": 0, "max_removed": 1.0}})
    desk.commit(10)
    assert desk.see(0) == 0
    own = Template(contents=desk.template.contents, destination=OUT, guard={"max_removed": 0.1})
    settings = Settings(templates=(own,), service_guards={"web": {"max_removed": 1.0, "min_instances": 0}})
    assert settings.guard_of(str(OUT), "web") == Guard(max_removed=0.1, min_instances=0)


def test_a_guard_that_warns_tells_once():
    desk = Desk(Guard(on_violation="warn"))
    desk.commit(10)
    assert [desk.see(1), desk.see(1)] == [1, 1]
    (told,) = desk.of(ShrinkPassed)
    assert "9 of 10 would go" in told.text()


def test_other_settings_reach_what_is_held(desk):
    desk.see(2)
    desk.leader(2)
    desk.now += 10
    changed = Settings(templates=desk.settings.templates, guard=Guard(max_hold=5.0))
    desk.guards.configure(changed, now=desk.now)
    assert desk.leader(2)


def test_what_no_template_writes_any_more_is_forgotten(desk):
    desk.see(2)
    desk.guards.configure(Settings(), now=desk.now)
    assert (desk.guards.holds, dict(desk.guards.bases)) == ((), {})


@pytest.mark.parametrize("before_the_loss", [True, False])
def test_a_commit_that_was_under_way_at_a_release_does_not_undo_it(before_the_loss):
    desk = Desk(Guard())
    desk.commit(10)
    under_way = desk.rendering
    assert desk.see(4) == 10
    if not before_the_loss:
        under_way = desk.rendering
    desk.guards.release("web", now=desk.now)
    assert desk.see(4) == 4
    desk.guards.committed(under_way)
    assert desk.see(4) == 4
    assert not desk.guards.holds


def test_what_was_released_and_committed_is_forgotten():
    desk = Desk(Guard())
    desk.commit(10)
    desk.see(4)
    desk.guards.release("web", now=desk.now)
    desk.commit(4)
    desk.commit(10)
    assert desk.see(4) == 10, "it is a new loss"
