"""Turns a template and a snapshot into a rendering, or into what is still missing, or into why not.

The same snapshot gives the same bytes. How one template is rendered is `work`'s concern.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ctemplate.model import Query, Resolution, Snapshot
from ctemplate.render.catalogs import Catalogs
from ctemplate.render.guard import NOTHING, Baseline
from ctemplate.render.selftest import self_test
from ctemplate.render.work import Work
from ctemplate.settings import Template


class Renderer:
    """Renders templates. Each of them may be resolved by one thread at a time."""

    def __init__(
        self,
        templates: Sequence[Template],
        *,
        environ: Mapping[str, str],
        file_roots: tuple[Path, ...] = (),
        catalogs: tuple[str, ...] = ("default",),
    ) -> None:
        """`catalogs` are the names that a template may say, the default first.

        Raises `ConfigError` if the value check does not hold (`selftest`) or a template's settings are wrong.
        """
        for sandbox in {template.sandbox for template in templates}:
            self_test(sandbox=sandbox)
        named = Catalogs(catalogs)
        self._works = {
            template.name: Work(template, environ=environ, file_roots=file_roots, catalogs=named)
            for template in templates
        }

    def source_queries(self, template: Template) -> frozenset[Query]:
        """Return the query for the template's own text; none for an inline template."""
        source = self._works[template.name].source
        return frozenset() if source is None else frozenset((source,))

    def check_syntax(self, template: Template, text: str) -> None:
        """Raise `RenderError` if a text is no template."""
        self._works[template.name].compile(text)

    def resolve(self, template: Template, snapshot: Snapshot, *, baseline: Baseline = NOTHING) -> Resolution:
        """Render a template as far as the snapshot goes; never raises for the template's fault.

        `baseline`: what was last committed of it, of which no more may be lost than its guard allows.
        """
        return self._works[template.name].resolve(snapshot, baseline=baseline)
