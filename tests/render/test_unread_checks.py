"""A template that looks at checks which nobody asked for waits for them; one that does not never asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctemplate.model import Answer, Basis, Check, Kind, Missing, Query, Rendering, Snapshot
from ctemplate.render import Renderer
from ctemplate.render.guard import Baseline
from ctemplate.render.services import Selection
from ctemplate.settings import Guard, Template

CHECKS = Query(kind=Kind.CHECKS)
LOOKS = [
    "{% for c in i.checks %}{{ c.name }}{% endfor %}",
    "{{ i.checks | length }}",
    "{{ i['checks'] | length }}",
    "{{ i | attr('checks') | length }}",
    "{{ [i] | map(attribute='checks') | list | length }}",
    "{{ i.checks | default([]) | length }}",
    "{{ '{0.checks}'.format(i) }}",
    "{{ i | tojson }}",
    "{% if i.checks %}{% endif %}",
    "{% set c = i.checks %}",
]


def each(look):
    return f"{{% for i in service('web', status='any') %}}{look}{{% endfor %}}"


@pytest.mark.parametrize("sandbox", [False, True], ids=["plain", "sandbox"])
@pytest.mark.parametrize("look", LOOKS)
def test_who_looks_waits_for_the_checks_of_its_catalog(render, look, sandbox):
    seen = render(each(look), {render.service(): (render.instance(all_checks=None),)}, format="text", sandbox=sandbox)
    assert isinstance(seen, Missing), seen
    assert seen.queries == {CHECKS}
    assert seen.keys == frozenset()
    assert seen.reads == {render.service(), CHECKS}


@pytest.mark.parametrize("sandbox", [False, True], ids=["plain", "sandbox"])
@pytest.mark.parametrize("look", [look for look in LOOKS if "format" not in look])
def test_who_looks_at_checks_that_are_there_waits_for_nothing(render, look, sandbox):
    web = render.instance(all_checks=(Check("c", "name", "passing"),))
    render.text(each(look), {render.service(): (web,)}, format="text", sandbox=sandbox)


def test_who_does_not_look_is_rendered(render):
    text = each("{{ i.id }} {{ i.status }} {{ i.weight }} {{ i.endpoint }}")
    web = render.instance(all_checks=None, status="warning")
    assert render.text(text, {render.service(): (web,)}, format="text") == f"{web.id} warning 1 {web.endpoint}"


def test_only_catalogs_whose_instances_came_without_are_asked(render):
    text = each("{{ i.checks | length }}").replace("'any'", "'any', catalog='other'") + each("{{ i.checks | length }}")
    answers = {
        render.service(): (render.instance(all_checks=()),),
        render.service(catalog="other"): (render.instance(all_checks=None),),
    }
    seen = render(text, answers, format="text", catalogs=("default", "other"))
    assert isinstance(seen, Missing)
    assert seen.queries == {Query(catalog="other", kind=Kind.CHECKS)}


def test_an_instance_that_is_held_without_its_checks_holds_who_looks_at_them(render):
    """What is gone is not read again: the file stays as it is until it is back, or released (`engine/test_book.py`)."""
    template = Template(contents=each("{{ i.checks | length }}"), destination=Path("/etc/out"), format="text")
    gone, there = render.instance(1, all_checks=None), render.instance(2, all_checks=())
    asked = render.service()
    selection = Selection(queries=(asked,), statuses=None)
    baseline = Baseline(
        Basis(answers={asked: Answer((gone, there))}, given={selection: (gone, there)}),
        limits=lambda _: Guard(max_removed=0.0, min_instances=2),
    )
    renderer = Renderer([template], environ={})
    snapshot = Snapshot(answers={asked: Answer((there,))})
    seen = renderer.resolve(template, snapshot, baseline=baseline)
    assert isinstance(seen, Missing), seen
    assert seen.queries == {CHECKS}


@pytest.mark.parametrize("look", ["{{ i.meta.v }}", "{{ i.checks | length }} {{ i.meta.v }}"])
def test_values_are_refused_whether_or_not_checks_are_there(render, look):
    good, bad = (
        render.instance(1, all_checks=None, meta={"v": "1"}),
        render.instance(2, all_checks=None, meta={"v": ";"}),
    )
    seen = render(each(f"server {look};\n"), {render.service(): (good, bad)}, format="nginx")
    assert isinstance(seen, Missing if "checks" in look else Rendering), seen
    if isinstance(seen, Rendering):
        assert [out.id for out in seen.left_out] == [bad.id]


def test_what_was_read_before_the_first_look_stays_wanted(render):
    """Or its watches would end, if all checks take long to come, and begin anew."""
    template = Template(
        contents="{% for n in ['a', 'b'] %}" + each("{{ i.checks | length }}").replace("'web'", "n") + "{% endfor %}",
        destination=Path("/etc/out"),
        format="text",
    )
    renderer, asked = Renderer([template], environ={}), {render.service("a"), render.service("b")}
    assert renderer.resolve(template, Snapshot(answers={})).reads == asked
    seen = renderer.resolve(
        template, Snapshot(answers=dict.fromkeys(asked, Answer((render.instance(all_checks=None),))))
    )
    assert seen.reads == asked | {CHECKS}
