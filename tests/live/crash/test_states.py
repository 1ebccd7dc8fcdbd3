"""Whatever a crash leaves, the next start makes the set wholly old or wholly new; and each fsync is needed for that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crash.exploring import Exploration
from crash.scenario import SCENARIOS, Scenario
from crash.sites import sites

REFUSED = next(scenario for scenario in SCENARIOS if scenario.refused)
SAMPLE = 60
"""About so many states of the commit itself a scenario, where not all are tried."""
NEVER_MISSED = (
    "ctemplate.commit.files:_write_in_place:",  # of a mount point: not a rename, and not modelled
    "ctemplate.state:write_last_good:",  # not a commit's: no recovery reads it
    "ctemplate.commit.journal:set_aside:",  # lost, a journal that cannot be read is set aside once more
)
"""Syncs that these scenarios do not need, and why."""

Figure = Callable[[str, object], None]


@pytest.mark.torture
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_whatever_a_crash_leaves_the_set_is_wholly_old_or_wholly_new_after_the_next_start(
    scenario: Scenario, ground: Path, strace: str, torture: bool, figure: Figure
) -> None:
    found = Exploration(scenario, ground, binary=strace).run(most=None if torture else SAMPLE)
    assert found.bad == []
    assert found.states >= 20
    figure(f"crash states laid out, {scenario.name}", found.states)
    figure("… of these by crashes inside the recovery", found.in_recovery)
    figure("… torn, mixed, unchecked, not reloaded or with something left behind", len(found.bad))


@pytest.mark.torture
def test_leaving_out_any_one_fsync_is_found(ground: Path, strace: str, torture: bool, figure: Figure) -> None:
    """The sample is what the commit of one scenario syncs; the whole is every line of the package that calls fsync."""
    missed = {site for site in sites() if not site.startswith(NEVER_MISSED)}
    found: set[str] = set()
    for number, scenario in enumerate(SCENARIOS if torture else (REFUSED,)):
        exploration = Exploration(scenario, ground / str(number), binary=strace)
        tried = exploration.synced
        if torture:
            exploration.run(depth=2)
            tried = exploration.synced & missed
        found |= {site for site in sorted(tried) if exploration.run(without=site, depth=2).bad}
        if not torture:
            assert found == tried
            return
        missed -= found
    assert missed == set()
    figure("calls of fsync left out one at a time, each found by a bad state", len(found))


def test_a_state_that_is_not_as_it_was_before_or_after_is_seen(ground: Path, strace: str) -> None:
    """The judge itself: what is torn, mixed, stale or left over is no good end."""
    scenario = SCENARIOS[-1]
    scenario.prepare(ground)
    old = dict(scenario.before())
    new = {**old, **{f"live/{path}": (f"live/{path}", scenario.new(path).encode()) for path in scenario.files}}

    def fault(state: dict[str, tuple[str, bytes] | None], served: str) -> str:
        return scenario.fault(tuple(sorted(state.items())), log=(), served=served, complaints=())

    assert fault(old, scenario.old_set) == fault(new, scenario.new_set) == ""
    assert "torn or mixed" in fault({**old, "live/a": new["live/a"]}, scenario.old_set)
    assert "torn or mixed" in fault({**new, "live/a": ("live/a", b"new")}, scenario.new_set)
    assert "the server runs" in fault(new, scenario.old_set)
    assert "left behind" in fault(
        {**new, "live/.a.ctemplate-0-old": ("live/.a.ctemplate-0-old", b"")}, scenario.new_set
    )
