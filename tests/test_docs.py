"""What the documents say can be done, and where they point."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
TEMPLATES = (ROOT / "docs/templates.md").read_text()
SERVICES = re.findall(r"```yaml\n(.*?)```", TEMPLATES, re.DOTALL)
EXAMPLES = re.findall(r"```jinja (\w+)\n(.*?)```\n(?:\ngives\n)?\n```\1\n(.*?)```", TEMPLATES, re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page: Path):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_every_example_of_the_templates_page_is_followed_by_what_it_gives():
    assert len(EXAMPLES) == TEMPLATES.count("```jinja") > 4
    assert len(SERVICES) == 1


@pytest.mark.parametrize(("format_", "text", "gives"), EXAMPLES)
def test_what_the_templates_page_shows_is_what_ctemplate_writes(tmp_path: Path, format_: str, text: str, gives: str):
    (tmp_path / "services.yaml").write_text(SERVICES[0])
    (tmp_path / "example.j2").write_text(text)
    (tmp_path / "ctemplate.toml").write_text(
        f'catalog = "file:services.yaml"\n[[template]]\n'
        f'source = "example.j2"\ndestination = "out"\nformat = "{format_}"\n'
    )
    command = [sys.executable, "-m", "ctemplate", "-once", "-config", "ctemplate.toml", "-state-dir", "state"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out").read_text() == gives


HELD = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs/guarantees.md").read_text())


@pytest.mark.parametrize(("file", "name"), HELD)
def test_every_guarantee_is_held_by_a_test_that_exists(file: str, name: str):
    assert re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE)
