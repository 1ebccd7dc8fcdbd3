"""One template with all that is compiled and remembered of it, and the passes that render it.

Pure: it reads nothing but the snapshot. A pass that lacks an answer is thrown away whole, with its
exception; one in which the format refused a value is repeated without the records that carry it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import jinja2

from ctemplate.errors import ConfigError, RenderError
from ctemplate.model import DISK, Failed, Kind, Missing, Query, Rendering, Resolution, Shrink, Snapshot, UnreadChecks
from ctemplate.render.catalogs import Catalogs
from ctemplate.render.environment import CheckedEnvironment, MissingSource, make_environment
from ctemplate.render.faults import Fault, Refusal, Unproved, describe, let_go, render_error
from ctemplate.render.filters import install
from ctemplate.render.formats import Format, format_of
from ctemplate.render.functions import REPEATABLE, Functions, numbers
from ctemplate.render.gotemplate import recognise
from ctemplate.render.grammars import GRAMMARS
from ctemplate.render.guard import NOTHING, Baseline
from ctemplate.render.leaving import Culprits
from ctemplate.render.positions import verify
from ctemplate.render.reads import IDLE, Pass
from ctemplate.settings import Template
from ctemplate.spelling import suggestion


class _LackingError(Exception):
    """What a pass lacks stands in its `Pass`; its output is thrown away."""


class _AgainError(Exception):
    """What this pass made is thrown away: it went a short way that does not hold. The next one goes the longer way."""


def text_query(path: Path | str, within: str) -> Query:
    """The query for a file's text; `within` is what `Query.filter` says of local files."""
    return Query(catalog=DISK, kind=Kind.TEXT, name=str(path), filter=within)


class Work:
    """One template's settings and environment. One thread at a time may use it."""

    def __init__(
        self, template: Template, *, environ: Mapping[str, str], file_roots: tuple[Path, ...], catalogs: Catalogs
    ) -> None:
        self.template = template
        self._directory = None if template.source is None else template.source.parent
        own = () if self._directory is None else (self._directory,)
        self._roots = (*own, *file_roots) if template.sandbox else file_roots
        """Below which `file()` reads; none for a trusted template is anywhere."""
        self._within = "\n".join(map(str, self._roots)) if template.sandbox else ""
        """Below which the source and its includes must lie: others may turn a sandboxed one into a symbolic link."""
        self.source = None if template.source is None else text_query(template.source, self._within)
        self._format: Format = format_of(template.format, template.destination, template.command)
        self._title = str(template.source) if template.source is not None else f"{template.name} (contents)"
        self._environ = environ
        self._catalogs = catalogs
        self._includes: dict[str, Query] = {}
        """The queries of includes by name."""
        self._read: frozenset[Query] = frozenset()
        """What was last read."""
        self._judged: str | None = None
        """The text for which it was decided whether output is marked."""
        self._proved = False
        """Whether that text by itself tells how it is printed (`flow`)."""
        self._refused = False
        """Whether a value was refused last: it is likely met again, so that each is checked where it is printed."""
        self._environment = self._make(marking=False)

    def _make(self, *, marking: bool) -> CheckedEnvironment:
        template = self.template
        environment = make_environment(
            self._format,
            sandbox=template.sandbox,
            trim_blocks=template.trim_blocks,
            lstrip_blocks=template.lstrip_blocks,
            marking=marking,
        )
        install(environment)
        functions = Functions(
            environment,
            environ=None if template.sandbox else self._environ,
            directory=self._directory,
            file_roots=self._roots if self._roots or not template.sandbox else None,
            catalogs=self._catalogs,
        )
        del environment.globals["lipsum"]  # random text
        environment.globals["range"] = numbers
        environment.globals.update(functions.names())
        for name in template.vars:
            if name in environment.globals:
                raise ConfigError(f"template {template.name}: vars: {name!r} is the name of a function, take another")
        environment.globals.update(template.vars)
        fixed = {name for name, value in template.vars.items() if isinstance(value, str | int | float)}
        environment.constants = REPEATABLE | fixed
        environment.read_source = self._read_source
        return environment

    def _mark(self, *, marking: bool) -> None:
        if self._environment.checker.marking != marking:
            self._environment = self._make(marking=marking)

    def _read_source(self, name: str) -> tuple[str, str | None]:
        query = self._include_query(name)
        answer = self._environment.current.answer(query)
        if answer is None:
            return query.name, None
        if answer.value is None:
            raise MissingSource(name)
        return query.name, cast(str, answer.value)

    def _include_query(self, name: str) -> Query:
        found = self._includes.get(name)
        if found is None:
            if self._directory is None:
                raise Fault("an inline template (`contents`) has no directory to include from; use `source`")
            parts = [part for part in name.split("/") if part not in ("", ".")]
            if ".." in parts or not parts or name.startswith("/"):
                raise Fault("includes are found below the template's directory, by a relative path without `..`")
            found = self._includes[name] = text_query(self._directory.joinpath(*parts), self._within)
        return found

    def compile(self, text: str) -> None:
        """Compile the template's text, deciding whether its output must be marked; raises `RenderError`."""
        try:
            if self._judged != text:
                self._proved = self._environment.proves(text)
                self._mark(marking=bool(self._format.positions) and not self._proved)
                self._judged = text
            self._environment.main(self._title, text)
        except jinja2.TemplateSyntaxError as error:
            raise self._translate(error, text) from None
        except RecursionError:
            raise RenderError(self._title, None, "the template is nested too deeply") from None
        except SyntaxError as error:  # `break` outside a loop is found by Python's compiler only
            raise RenderError(self._title, None, f"the template does not compile: {error.msg}") from None
        except AssertionError:  # Jinja2's own, for a name in the filter of a set block
            raise RenderError(self._title, None, "the template does not compile: a name out of reach") from None
        except (ValueError, MemoryError) as error:  # a number of thousands of digits; Python's own compiler
            raise RenderError(self._title, None, f"the template does not compile: {describe(error)}") from None

    def _translate(self, error: Exception, text: str) -> RenderError:
        """Say what an exception means: template, line, expression, never a value."""
        if isinstance(error, jinja2.TemplateSyntaxError):
            name = error.name or self._title
            go = recognise(text if name == self._title else error.source or "")
            return RenderError(name, go.line, str(go)) if go else RenderError(name, error.lineno, str(error.message))
        known = self._environment.globals
        return render_error(error, self._title, lambda name: suggestion(name, known))

    def _start(self, snapshot: Snapshot, baseline: Baseline, *, culprits: Culprits, collect: bool) -> Pass:
        """Begin a pass. Where its output is thrown away anyway, refused values are noted rather than raised."""
        self._environment.check_later(self._proved and not self._refused)
        checker = self._environment.checker
        checker.refusals = [] if collect else None

        def note_only() -> None:
            if checker.refusals is None:
                checker.refusals = []

        current = Pass(
            snapshot,
            left_out=frozenset(culprits.left_out),
            on_lack=note_only,
            baseline=baseline,
            probes=culprits.probes,
        )
        if self.source is not None:
            current.answer(self.source)
        self._environment.current = current
        return current

    def _run(self, current: Pass, text: str) -> bytes:
        """Run one pass; raises whatever happens in a template, `_LackingError`, or `_AgainError`."""
        noted = self._environment.noted
        noted.end()  # of a pass that was interrupted
        try:
            content = self._output(current, text)
        except Unproved:
            self._mark(marking=True)
            raise _AgainError from None
        except Exception as error:
            if noted.end():
                raise
            let_go(error)  # it may have followed from a value that is refused
        else:
            if noted.end():
                return content
        self._refused = True
        raise _AgainError

    def _output(self, current: Pass, text: str) -> bytes:
        template = self._environment.main(self._title, text)
        try:
            output = "".join(template.root_render_func(template.new_context({})))
        except jinja2.TemplateNotFound as error:
            names = error.templates if isinstance(error, jinja2.TemplatesNotFound) else [error.name]
            for name in names:
                current.lack(self._include_query(str(name)))
            raise _LackingError from None
        if current.lacking:
            raise _LackingError
        grammar = GRAMMARS.get(self._format.positions)
        return (output if grammar is None else verify(grammar, output)).encode()

    def resolve(self, snapshot: Snapshot, *, baseline: Baseline = NOTHING) -> Resolution:
        """Render the template as far as the snapshot goes, without losing more of `baseline` than its guard allows."""
        text = self.template.contents or ""
        if self.source is not None:
            answer = snapshot.answers.get(self.source)
            if answer is None or answer.value is None:
                lacking, none = frozenset((self.source,)), frozenset[Query]()
                queries, keys = (lacking, none) if answer is None else (none, lacking)
                return Missing(template=self.template.name, queries=queries, keys=keys, reads=lacking)
            text = cast(str, answer.value)
        try:
            self.compile(text)
        except RenderError as error:
            return self._failed(error, set() if self.source is None else {self.source}, text)
        try:
            found = self._passes(snapshot, text, baseline)
            self._read = found.reads
            return found
        finally:
            # Until the next pass nothing of the snapshot is needed.
            self._environment.current = IDLE

    def _passes(self, snapshot: Snapshot, text: str, baseline: Baseline) -> Resolution:
        culprits = Culprits(self._format)
        reads: set[Query] = set()
        shrinks: tuple[Shrink, ...] = ()
        first: Refusal | None = None
        """Not None: this pass only finds every value that is refused; where there are probes, whose it is."""
        while True:
            current = self._start(snapshot, baseline, culprits=culprits, collect=first is not None)
            error: Exception | None = None
            content = b""
            try:
                content = self._run(current, text)
            except _AgainError:
                continue
            except UnreadChecks as looked:
                current.lack_checks()
                error = looked
                reads |= self._read  # what comes after that look is wanted as before
                shrinks = tuple(current.shrinks.values())
            except Exception as failure:  # whatever a template does wrong holds that template only
                error = failure
            reads |= current.reads.keys()
            if current.lacking and first is None:
                return Missing(
                    template=self.template.name,
                    queries=frozenset(current.missing),
                    keys=frozenset(current.absent),
                    reads=frozenset(reads),
                    shrinks=shrinks,
                )
            if first is not None:
                refusals = self._environment.checker.refusals or [first]
                also = baseline.instances(current.shrinks)
                if not culprits.search(refusals, reads, snapshot, also=also):
                    return self._failed(first, reads, text)
                first = first if culprits.probes else None
            elif isinstance(error, Refusal):
                first, self._refused = error, True
            elif error is not None:
                return self._failed(error, reads, text)
            else:
                self._refused = bool(culprits.left_out)
                return self._rendering(current, reads, culprits, content)

    def _failed(self, error: Exception, reads: set[Query], text: str) -> Failed:
        reason = error if isinstance(error, RenderError) else self._translate(error, text)
        let_go(error)
        return Failed(template=self.template.name, reason=str(reason), reads=frozenset(reads))

    def _rendering(self, current: Pass, reads: set[Query], culprits: Culprits, content: bytes) -> Rendering:
        left_out = sorted(culprits.left_out.values(), key=lambda entry: (entry.service, entry.node, entry.id))
        return Rendering(
            template=self.template.name,
            content=content,
            reads=frozenset(reads),
            instances=current.instances,
            left_out=tuple(left_out),
            basis=current.basis(),
            shrinks=tuple(current.shrinks.values()),
        )
