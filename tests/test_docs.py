"""What the documents say can be done, and where they point."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ctemplate.model import Answer, Instance, Kind, Query, Rendering, Snapshot
from ctemplate.render import Renderer
from ctemplate.settings import Template

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
EXAMPLES = re.findall(r"```jinja\n(.*?)```", (ROOT / "docs/templates.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page: Path):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_template_in_the_documents_renders(text: str):
    instance = Instance(id="web-1", name="web", address="10.0.0.1", port=80, node="n1", tags=("blue",))
    web = Query(kind=Kind.SERVICE, name="web")
    template = Template(contents=text, destination=Path("/etc/nginx/conf.d/app.conf"))
    rendered = Renderer([template], environ={}).resolve(template, Snapshot({web: Answer((instance,))}))
    assert isinstance(rendered, Rendering), rendered
    assert b"server 10.0.0.1:80" in rendered.content
