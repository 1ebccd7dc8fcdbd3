"""What a status says of a template follows its outcome at once, and its age at every look."""

from types import SimpleNamespace

import pytest

from ctemplate.changes import Committed, Proof, Rejected, RolledBack, Step
from ctemplate.engine import report
from ctemplate.model import Failed, Kind, Query, Rendering

NAME = "/etc/out.conf"
WEB = Query(kind=Kind.SERVICE, name="web")


class Known:
    """One template of one group, and what its status is made of."""

    def __init__(self):
        self.due = None
        self.heard = 100.0
        self.all_heard = None
        self.report = report.Report(started=50.0, protection="none")
        self.runner = SimpleNamespace(
            group=SimpleNamespace(name="g"),
            resolutions={},
            outcomes={},
            schedule=SimpleNamespace(next_try=lambda _: self.due),
        )
        self.session = SimpleNamespace(
            runner_of={NAME: self.runner},
            news=set(),
            settings=SimpleNamespace(max_age=0.0),
            book=SimpleNamespace(stale=SimpleNamespace(written=7.0)),
        )
        self.hub = SimpleNamespace(
            hearing=lambda: SimpleNamespace(
                oldest=lambda reads: self.heard if reads else None, all_heard=self.all_heard
            ),
            reports=lambda: (),
        )

    def is_resolved(self, resolution):
        self.runner.resolutions[NAME] = resolution
        self.session.news.add(NAME)

    def ends(self, outcome, at):
        self.runner.outcomes[NAME] = (outcome, at)
        self.session.news.add(NAME)

    def status(self):
        guards = SimpleNamespace(holds=())
        (status,) = self.report.status(self.session, self.hub, guards).templates
        return status


@pytest.fixture
def known():
    return Known()


def rendering(**fields):
    return Rendering(template=NAME, content=b"x", reads=frozenset({WEB}), instances=3, **fields)


def test_each_outcome_and_resolution_is_said_when_it_comes(known):
    assert known.status().state == "pending"
    known.is_resolved(rendering())
    assert (known.status().state, known.status().instances) == ("pending", 3)
    known.ends(Committed(proof=Proof.NEW_WORKERS), 60.0)
    assert (known.status().state, known.status().since) == ("committed", 60.0)
    known.ends(Rejected(step=Step.CHECK, reason="no"), 61.0)
    assert (known.status().state, known.status().reason) == ("rejected", "check: no")
    known.is_resolved(Failed(template=NAME, reason="line 1", reads=frozenset()))
    assert (known.status().state, known.status().reason) == ("failed", "line 1")


def test_what_nothing_happened_to_is_not_made_again(known, monkeypatch):
    made = []
    make = report._template_status
    monkeypatch.setattr(report, "_template_status", lambda *args, **more: made.append(1) or make(*args, **more))
    known.is_resolved(rendering())
    known.ends(Committed(proof=Proof.NEW_WORKERS), 60.0)
    assert known.status() is known.status()
    assert len(made) == 1
    known.ends(Committed(proof=Proof.NEW_WORKERS), 61.0)
    assert known.status().since == 61.0
    known.runner.group.name = "another"
    known.session = SimpleNamespace(**vars(known.session))
    assert known.status().group == "another", "the configuration was read again"


def test_the_age_of_its_data_is_said_anew_where_nothing_else_changed(known):
    known.is_resolved(rendering())
    assert known.status().data_since == 100.0
    known.heard = 200.0
    assert known.status().data_since == 200.0
    known.session.settings.max_age = 1e-9
    assert known.status().too_old
    known.session.settings.max_age = 1e12
    assert not known.status().too_old, "it is current again"


def test_where_one_moment_is_right_for_all_answers_nothing_is_looked_up(known):
    known.is_resolved(rendering())
    known.status()
    known.heard, known.all_heard = 999.0, 300.0
    assert known.status().data_since == 300.0
    known.all_heard = 299.0
    assert known.status().data_since == 300.0, "what was known to be current then"
    known.session.settings.max_age = 1e12
    assert not known.status().too_old
    known.session.settings.max_age, known.heard = 60.0, 300.0
    assert known.status().too_old
    known.heard = 1e12
    assert not known.status().too_old, "it may have been heard of later than all others"


def test_a_clock_that_was_ahead_makes_nothing_young(known, monkeypatch):
    known.is_resolved(rendering())
    known.heard = 4_000.0
    known.status()
    monkeypatch.setattr(report.time, "time", lambda: 400.0)
    known.all_heard = 300.0
    assert known.status().data_since == 400.0
    monkeypatch.setattr(report.time, "time", lambda: 500.0)
    assert known.status().data_since == 400.0


def test_what_is_rendered_from_an_earlier_run_is_as_old_as_that(known):
    known.is_resolved(rendering(stale=True))
    known.all_heard = 300.0
    assert (known.status().stale, known.status().data_since, known.status().data_since) == (True, 7.0, 7.0)


def test_when_it_is_tried_again_is_said_only_while_it_will_be(known):
    known.is_resolved(rendering())
    known.due = 1e12
    known.ends(RolledBack(step=Step.RELOAD, reason="no"), 60.0)
    first = known.status()
    assert "tried again" in first.pending
    assert known.status() is not first, "it counts down"
    known.due = None
    assert "tried again" not in known.status().pending
