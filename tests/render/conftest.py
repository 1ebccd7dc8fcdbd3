"""Fixtures that render one template over a snapshot made by hand."""

from pathlib import Path

import pytest

from ctemplate.model import DISK, Answer, Instance, Kind, Query, Snapshot
from ctemplate.render import Renderer
from ctemplate.settings import Template


def make_instance(number=1, **fields):
    values = {"id": f"web-{number}", "name": "web", "address": f"10.0.0.{number}", "port": 8000 + number}
    return Instance(**(values | {"node": f"n{number}"} | fields))


def service(name="web", **options):
    return Query(kind=Kind.SERVICE, name=name, **options)


def text_of(path, *within):
    return Query(catalog=DISK, kind=Kind.TEXT, name=str(path), filter="\n".join(within))


class Render:
    """`render(text, answers)`: the resolution of an inline template, or of /t/main.j2 where includes are given."""

    service = staticmethod(service)
    instance = staticmethod(make_instance)
    text_of = staticmethod(text_of)

    def __call__(
        self, text, answers=None, *, includes=None, environ=None, file_roots=(), catalogs=("default",), **settings
    ):
        settings = {"format": "nginx", "destination": Path("/etc/out.conf")} | settings
        values = {query: Answer(value) for query, value in (answers or {}).items()}
        if includes is None:
            template = Template(contents=text, **settings)
        else:
            template = Template(source=Path("/t/main.j2"), **settings)
            within = ("/t", *map(str, file_roots)) if template.sandbox else ()
            for name, content in {"main.j2": text, **includes}.items():
                values[text_of(f"/t/{name}", *within)] = Answer(content)
        renderer = Renderer([template], environ=environ or {}, file_roots=file_roots, catalogs=catalogs)
        return renderer.resolve(template, Snapshot(answers=values))

    def text(self, *args, **kwargs):
        resolution = self(*args, **kwargs)
        assert hasattr(resolution, "content"), resolution
        return resolution.content.decode()

    def reason(self, *args, **kwargs):
        resolution = self(*args, **kwargs)
        assert hasattr(resolution, "reason"), resolution
        return resolution.reason


@pytest.fixture
def render():
    return Render()
