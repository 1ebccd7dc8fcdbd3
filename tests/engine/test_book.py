"""What is rendered when: only what read something that changed, and nothing that must come to nothing."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from ctemplate.engine.book import Book
from ctemplate.engine.guards import Guards
from ctemplate.engine.holding import ServiceHeld
from ctemplate.engine.signals import Signals
from ctemplate.model import Answer, Basis, Instance, Kind, Missing, Query, Rendering, ServiceName, Snapshot
from ctemplate.render.resolve import Renderer
from ctemplate.render.services import Selection
from ctemplate.settings import Settings, Template

LISTING = Query(kind=Kind.SERVICES)
NAMES = [f"s{n}" for n in range(20)]
SERVICES = [Query(kind=Kind.SERVICE, name=name) for name in NAMES]
ALL = "{% for s in services() %}{% for i in service(s.name) %}{{ i.port }} {% endfor %}{% endfor %}"


class Counted(Renderer):
    """A renderer that counts."""

    def __init__(self, templates):
        super().__init__(templates, environ={})
        self.rendered = []

    def resolve(self, template, snapshot, **options):
        self.rendered.append(template.name)
        return super().resolve(template, snapshot, **options)


def ignored(event):
    """Nobody listens."""


def run(texts, story):
    templates = [Template(contents=text, destination=Path(f"/{n}"), format="text") for n, text in enumerate(texts)]

    async def main():
        with Signals() as signals:
            renderer = Counted(templates)
            guards = Guards(Settings(templates=tuple(templates)), emit=ignored)
            story(Book(templates, renderer=renderer, guards=guards, signals=signals, emit=ignored), renderer)

    asyncio.run(main())


def instance(name):
    return Answer((Instance(id=name, name=name, address="h", port=len(name)),))


def test_answers_that_trickle_in_cost_one_pass_when_the_last_has_come():
    def story(book, renderer):
        listing = Answer(tuple(map(ServiceName, NAMES)))
        book.refresh(Snapshot({}), None)
        book.refresh(Snapshot({LISTING: listing}), {LISTING})
        answers = {LISTING: listing}
        assert len(renderer.rendered) == 2
        for query in SERVICES:
            answers = answers | {query: instance(query.name)}
            book.refresh(Snapshot(answers), {query})
            assert book.missing() == set(SERVICES) - answers.keys()
        assert isinstance(book.resolutions["/0"], Rendering)
        assert len(renderer.rendered) == 3

    run([ALL], story)


def test_a_pass_is_made_while_answers_are_missing_if_something_else_it_read_changed():
    def story(book, renderer):
        few, more = (Answer(tuple(map(ServiceName, NAMES[:count]))) for count in (2, 3))
        book.refresh(Snapshot({LISTING: few}), None)
        book.refresh(Snapshot({LISTING: more, SERVICES[0]: instance("s0")}), {LISTING, SERVICES[0]})
        resolution = book.resolutions["/0"]
        assert isinstance(resolution, Missing)
        assert resolution.queries == {SERVICES[1], SERVICES[2]}

    run([ALL], story)


def test_of_many_templates_only_the_one_that_read_what_changed_is_rendered():
    texts = [f'{{% for i in service("{name}") %}}{{{{ i.port }}}}{{% endfor %}}' for name in NAMES]

    def story(book, renderer):
        answers = {query: instance(query.name) for query in SERVICES}
        book.refresh(Snapshot(answers), None)
        book.refresh(Snapshot(answers), None)
        renderer.rendered.clear()
        book.refresh(Snapshot(answers | {SERVICES[7]: Answer(())}), {SERVICES[7]})
        assert renderer.rendered == ["/7"]

    run(texts, story)


def test_a_hold_that_keeps_a_template_from_its_checks_is_told_and_can_be_released():
    """What is lost came without checks, and is not there to be read again."""
    web = Query(kind=Kind.SERVICE, name="web")
    text = "{% for i in service('web') %}{{ i.id }} {{ i.checks | length }} {% endfor %}"
    template = Template(contents=text, destination=Path("/0"), format="text")
    told = []

    def instances(count, checks):
        ports = range(1, count + 1)
        return tuple(Instance(id=f"w{n}", name="web", address="h", port=n, all_checks=checks) for n in ports)

    async def main():
        with Signals() as signals:
            guards = Guards(Settings(templates=(template,)), emit=told.append)
            before = instances(10, None)
            basis = Basis(answers={web: Answer(before)}, given={Selection((web,)): before})
            guards.restore({template.name: basis}, (), now=time.monotonic())
            renderer = Renderer([template], environ={})
            book = Book([template], renderer=renderer, guards=guards, signals=signals, emit=told.append)
            book.refresh(Snapshot({web: Answer(instances(2, ()))}), None)
            assert book.resolutions["/0"].queries == {Query(kind=Kind.CHECKS)}
            assert [type(event) for event in told] == [ServiceHeld]
            assert guards.next_ask() is not None
            guards.release("web", now=time.monotonic())
            assert book.refresh_one("/0")
            assert book.resolutions["/0"].content.split() == [b"w1", b"0", b"w2", b"0"]
            assert not guards.holds

    asyncio.run(main())
