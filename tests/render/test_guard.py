"""What a template keeps of a service although its catalog says less."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctemplate.model import Answer, Kind, Query, Rendering, ServiceName, Snapshot
from ctemplate.render import Renderer
from ctemplate.render.guard import Baseline
from ctemplate.settings import Guard, Template

WEB = Query(kind=Kind.SERVICE, name="web")
LISTING = Query(kind=Kind.SERVICES)
EACH = '{% for i in service("web") %}{{ i.id }} {{ i.port }}\n{% endfor %}'
ALL = "{% for s in services() %}{% for i in service(s.name) %}{{ i.name }} {{ i.id }}\n{% endfor %}{% endfor %}"


class Desk:
    """One template, what was last committed of it, and the limits."""

    def __init__(self, render, text: str = EACH, **limits) -> None:
        self.limits = Guard(**limits)
        self.template = Template(contents=text, destination=Path("/etc/out"), format="text")
        self.renderer = Renderer([self.template], environ={})
        self.committed: Rendering | None = None
        self.make = render.instance

    def instances(self, *numbers: int, **fields):
        return tuple(self.make(n, **fields) for n in numbers)

    def see(self, answers) -> Rendering:
        """Render over new answers, without committing."""
        values = {query: Answer(value) for query, value in answers.items()}
        basis = (
            {} if self.committed is None else {"baseline": Baseline(self.committed.basis, limits=lambda _: self.limits)}
        )
        seen = self.renderer.resolve(self.template, Snapshot(answers=values), **basis)
        assert isinstance(seen, Rendering), seen
        return seen

    def commit(self, answers) -> Rendering:
        self.committed = self.see(answers)
        return self.committed

    def ids(self, *numbers: int) -> str:
        return " ".join(self.see({WEB: self.instances(*numbers)}).content.decode().split()[::2])


@pytest.fixture
def desk(render):
    return Desk(render)


@pytest.mark.parametrize(
    ("before", "after", "held"),
    [
        (10, 5, False),  # ⌊0.5 × 10⌋ may go
        (10, 4, True),
        (3, 2, False),  # one may go of however few
        (3, 1, True),
        (2, 1, False),
        (2, 0, True),
        (1, 0, True),  # min_instances
        (0, 0, False),
        (0, 5, False),
    ],
)
def test_a_commit_may_take_half_and_never_the_last(desk, before, after, held):
    desk.commit({WEB: desk.instances(*range(before))})
    seen = desk.see({WEB: desk.instances(*range(after))})
    assert bool(seen.shrinks) == held
    assert seen.instances == (before if held else after)


def test_the_first_rendering_of_a_service_is_no_violation_however_empty(desk):
    assert desk.commit({WEB: ()}).shrinks == ()


def test_a_slow_drain_is_held_like_a_sudden_one(desk):
    """Against the last commit, never the last poll: nothing was committed between the steps."""
    desk.commit({WEB: desk.instances(*range(10))})
    for left in (8, 6, 5):
        assert desk.see({WEB: desk.instances(*range(left))}).shrinks == ()
    (shrink,) = desk.see({WEB: desk.instances(*range(4))}).shrinks
    assert (shrink.before, shrink.after, len(shrink.lost)) == (10, 4, 6)
    assert shrink.reason == "6 of 10 would go, more than 5 (max_removed = 0.5)"


def test_what_is_compared_is_which_instances_and_not_how_many(desk):
    desk.commit({WEB: desk.instances(1, 2, 3, 4)})
    seen = desk.see({WEB: desk.instances(11, 12, 13, 14)})
    assert seen.shrinks[0].held
    assert seen.instances == 8, "what is new joins, what was lost stays"


def test_after_the_new_ones_were_committed_beside_the_old_the_old_may_go(desk):
    desk.commit({WEB: desk.instances(1, 2, 3, 4)})
    desk.commit({WEB: desk.instances(11, 12, 13, 14)})
    assert desk.ids(11, 12, 13, 14) == "web-11 web-12 web-13 web-14"


def test_an_instance_at_the_same_place_under_another_id_is_not_lost(desk):
    desk.commit({WEB: desk.instances(1, 2, 3)})
    again = tuple(desk.make(n, id=f"new-{n}") for n in (1, 2, 3))
    seen = desk.see({WEB: again})
    assert (seen.shrinks, seen.instances) == ((), 3)


def test_a_held_service_follows_every_other_change(desk):
    desk.commit({WEB: desk.instances(*range(10))})
    seen = desk.see({WEB: desk.instances(0, port=7)})
    lines = seen.content.decode().splitlines()
    assert lines[0] == "web-0 7"
    assert len(lines) == 10


def test_health_checks_that_fail_are_a_loss_like_any_other(desk):
    desk.commit({WEB: desk.instances(*range(10))})
    failing = desk.instances(0, 1, 2) + desk.instances(*range(3, 10), status="critical")
    seen = desk.see({WEB: failing})
    assert seen.shrinks[0].after == 3
    assert seen.instances == 10


def test_a_record_that_the_format_refuses_is_a_loss(render):
    desk = Desk(render, text='{% for i in service("web") %}server {{ i.address }} {{ i.meta.x }};\n{% endfor %}')
    desk.template = Template(contents=desk.template.contents, destination=Path("/etc/out.conf"), format="nginx")
    desk.renderer = Renderer([desk.template], environ={})
    desk.commit({WEB: desk.instances(1, 2, 3, meta={"x": "good"})})
    bad = desk.instances(1, meta={"x": "good"}) + desk.instances(2, 3, meta={"x": "a;b"})
    seen = desk.see({WEB: bad})
    assert len(seen.left_out) == 2
    assert seen.instances == 3, "the registrations that were good stay"
    assert b"a;b" not in seen.content


def test_another_selection_by_the_author_has_no_baseline(desk, render):
    desk.commit({WEB: desk.instances(*range(10))})
    desk.template = Template(contents=EACH.replace('"web"', '"web", tag="x"'), destination=Path("/etc/out"))
    desk.renderer = Renderer([desk.template], environ={})
    seen = desk.see({WEB: desk.instances(0, tags=("x",)) + desk.instances(*range(1, 10))})
    assert (seen.shrinks, seen.instances) == ((), 1)


def test_limits_can_be_turned_off_and_set(render):
    free = Desk(render, min_instances=0, max_removed=1.0)
    free.commit({WEB: free.instances(*range(10))})
    assert free.ids() == ""
    strict = Desk(render, min_instances=8)
    strict.commit({WEB: strict.instances(*range(10))})
    (shrink,) = strict.see({WEB: strict.instances(*range(7))}).shrinks
    assert shrink.reason == "7 would be left, fewer than 8 (min_instances)"


def test_a_guard_that_warns_lets_through_and_says_so(render):
    desk = Desk(render, on_violation="warn")
    desk.commit({WEB: desk.instances(*range(10))})
    seen = desk.see({WEB: ()})
    assert seen.instances == 0
    assert [shrink.held for shrink in seen.shrinks] == [False]


def test_a_share_of_a_hundredth_is_not_lost_to_rounding(render):
    desk = Desk(render, max_removed=0.29)
    desk.commit({WEB: desk.instances(*range(100))})
    assert desk.see({WEB: desk.instances(*range(71))}).shrinks == ()


@pytest.fixture
def listed(render):
    """A template over every service, and two services committed."""
    desk = Desk(render, text=ALL)
    desk.services = {  # type: ignore[attr-defined]
        LISTING: (ServiceName("api"), ServiceName("web")),
        Query(kind=Kind.SERVICE, name="api"): tuple(desk.make(n, name="api") for n in (1, 2)),
        WEB: desk.instances(1, 2),
    }
    desk.commit(desk.services)
    return desk


def test_a_service_that_goes_from_a_listing_is_held_like_one_that_is_empty(listed):
    seen = listed.see({**listed.services, LISTING: (), WEB: (), Query(kind=Kind.SERVICE, name="api"): ()})
    assert seen.content == listed.committed.content
    assert [str(shrink.selection) for shrink in seen.shrinks] == ["api", "web"]


def test_a_service_that_goes_from_a_listing_while_its_instances_stay_is_kept(listed):
    """A listing and a service are two answers of two moments: where they differ, nothing is lost yet."""
    assert listed.see({**listed.services, LISTING: (ServiceName("api"),)}).instances == 4


def test_a_listing_that_is_short_while_the_service_is_not_known_asks_for_it_first(listed):
    values = {query: Answer(value) for query, value in listed.services.items() if query != WEB}
    values[LISTING] = Answer(())
    baseline = Baseline(listed.committed.basis, limits=lambda _: listed.limits)
    seen = listed.renderer.resolve(listed.template, Snapshot(answers=values), baseline=baseline)
    assert seen.queries == {WEB}


def test_a_tag_that_goes_from_a_listing_stays_while_its_instances_are_held(render):
    text = (
        '{% for s in services() if "http" in s.tags %}{% for i in service(s.name, tag="http") %}'
        "{{ i.id }}\n{% endfor %}{% endfor %}"
    )
    desk = Desk(render, text=text)
    desk.commit({LISTING: (ServiceName("web", ("http",)),), WEB: desk.instances(1, 2, 3, tags=("http",))})
    seen = desk.see({LISTING: (ServiceName("web"),), WEB: desk.instances(4)})
    assert seen.instances == 3
