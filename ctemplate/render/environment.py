"""One template's Jinja2 environment: strict, checked, and reading its sources out of the snapshot.

An environment belongs to one template. What changes from pass to pass (the snapshot, what is read)
is its `current`; what is compiled stays until a text changes. Two threads may render two templates,
never one template at the same time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, MutableMapping
from collections.abc import Set as AbstractSet
from types import CodeType
from typing import Any, cast

import jinja2
import msgspec
from jinja2 import nodes, runtime
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEscapeFormatter
from jinja2.utils import internalcode, missing

from ctemplate.model import Instance
from ctemplate.render.checker import Checker, Nothing
from ctemplate.render.codegen import SafeCodeGenerator
from ctemplate.render.flow import captures, proved
from ctemplate.render.formats import Format
from ctemplate.render.grammars import GRAMMARS
from ctemplate.render.markup import Safe, safe_class
from ctemplate.render.passages import Passages
from ctemplate.render.printer import Noted, note_none, printer
from ctemplate.render.reads import IDLE, Pass
from ctemplate.spelling import suggestion


class StrictUndefined(jinja2.StrictUndefined):
    """Undefined is an error at once; its message names what the author wrote, never a value."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        name = self._undefined_name
        if self._undefined_obj is missing:
            return f"{str(name)!r} is undefined"
        # A name that is a plain string came from data where it is no attribute; a literal is `Safe`.
        named = "of that name or index"
        if isinstance(name, Safe | _Attribute):
            public = (field for field in dir(self._undefined_obj) if not field.startswith("_"))
            known = public if isinstance(self._undefined_obj, msgspec.Struct) else ()
            named = repr(str(name)) + suggestion(name, known)
        return f"{type(self._undefined_obj).__name__} has no element {named}"


class _Attribute(str):
    """The name after a dot, which is always the author's own text."""

    __slots__ = ()


class _Macro(runtime.Macro):
    def _invoke(self, arguments: list[Any], autoescape: bool) -> str:
        return cast(_Checked, self._environment).seal(self._func(*arguments))


class _BlockReference(runtime.BlockReference):
    @property
    def super(self) -> Any:
        found = super().super
        if isinstance(found, jinja2.Undefined):
            return found
        return _BlockReference(found.name, found._context, found._stack, found._depth)

    @internalcode
    def __call__(self) -> str:
        environment = cast(_Checked, self._context.environment)
        return environment.seal("".join(self._stack[self._depth](self._context)))


class _TemplateReference(runtime.TemplateReference):
    def __getitem__(self, name: str) -> Any:
        block = super().__getitem__(name)
        return _BlockReference(block.name, block._context, block._stack, block._depth)


class _Context(runtime.Context):
    def super(self, name: str, current: Callable[[runtime.Context], Iterator[str]]) -> Any:
        found = super().super(name, current)
        if isinstance(found, jinja2.Undefined):
            return found
        return _BlockReference(found.name, found._context, found._stack, found._depth)


class _Literals(dict[str, Safe]):
    """The author's string literals as trusted text, each made once."""

    def __init__(self, safe: type[Safe]) -> None:
        super().__init__()
        self._safe = safe

    def __missing__(self, text: str) -> Safe:
        self[text] = found = self._safe(text)
        return found


class CompiledTemplate(jinja2.Template):
    """A compiled template whose module has our names in place of Jinja2's."""

    text: str
    """Its source, for messages."""
    ordinals: dict[int, int]
    """Line of the generated code → which expression of its template line stands there."""
    reads: object = None
    """Of the pass that `_module` was made in."""

    @classmethod
    def _from_namespace(
        cls, environment: jinja2.Environment, namespace: MutableMapping[str, Any], globals: MutableMapping[str, Any]
    ) -> jinja2.Template:
        namespace.update(cast(_Checked, environment).names)
        template = super()._from_namespace(environment, namespace, globals)
        cast(CompiledTemplate, template).ordinals = namespace["ordinals"]
        return template

    def _get_default_module(self, ctx: runtime.Context | None = None) -> Any:
        # Jinja2 runs an imported template once and for ever; what it read may be different in the next pass.
        current = cast(_Checked, self.environment).current
        if self.reads is not current.reads:
            self._module, self.reads = None, current.reads
        return super()._get_default_module(ctx)


class MissingSource(jinja2.TemplateNotFound):
    """An include or import that does not exist, unless the author said `ignore missing`."""


class _Checked(jinja2.Environment):
    """What the plain and the sandboxed environment share."""

    code_generator_class = SafeCodeGenerator
    template_class = CompiledTemplate
    context_class = _Context
    names: dict[str, Any]
    """What goes into each compiled module."""
    safe: type[Safe]
    checker: Checker
    passages: Passages
    note: Callable[[str], object]
    """Returns None where a string may be printed without a check, since it is checked before the output is used."""
    constants: AbstractSet[str] = frozenset()
    """The global names that `repeatable` may rely on."""
    keeping: bool = False
    """Whether the text that is being compiled may keep passages: not one that is included, whose names others set."""
    current: Pass = IDLE
    read_source: Callable[[str], tuple[str, str | None]]
    """Include name → its path and text, or None for a text that is not known yet; raises MissingSource."""

    def prepare(self, format_: Format, *, marking: bool) -> None:
        """Build the trusted text class and everything that stands on it."""
        self.checker = Checker(format_, marking=marking)
        self.safe = safe_class(self.checker)
        self.seal = self.safe.seal
        self.passages = Passages(self)
        self.noted = Noted(format_)
        self.note = note_none
        self.names = {
            "Markup": self.seal,
            "escape": self.safe.escape,
            "markup_join": self.safe.joined,
            "str_join": self.safe.joined,
            "joined": self.safe.joined,
            "printer": printer(self),
            "Instance": Instance,
            "literals": _Literals(self.safe),
            "due": self.passages.due,
            "keep": self.passages.keep,
            "page": self.passages.page,
            "Macro": _Macro,
            "TemplateReference": _TemplateReference,
            "Undefined": Nothing,
        }
        self._main: CompiledTemplate | None = None
        self._compiled: dict[tuple[str, str], CompiledTemplate] = {}

    def check_later(self, later: bool) -> None:
        """Set whether passes note strings rather than check each where it is printed.

        Not where text is marked, and not where a template captures text that it prints: there it is a value at once.
        """
        self.note = self.noted.note if later and not self.checker.marking else note_none

    def main(self, name: str, text: str) -> CompiledTemplate:
        """Compile the template itself, whose loops keep their passages; raises `TemplateSyntaxError`."""
        if self._main is None or (self._main.name, self._main.text) != (name, text):
            self.passages.forget()
            self.keeping = True
            try:
                self._main = self._made(name, text)
            finally:
                self.keeping = False
        return self._main

    def template(self, name: str, text: str) -> CompiledTemplate:
        """Compile a text, or return what was compiled of the same text; raises `TemplateSyntaxError`."""
        found = self._compiled.get((name, text))
        if found is None:
            found = self._made(name, text)
            # One text a name: what an edit replaced is not needed again.
            for key in [key for key in self._compiled if key[0] == name]:
                del self._compiled[key]
            self._compiled[name, text] = found
        return found

    def _made(self, name: str, text: str) -> CompiledTemplate:
        code: CodeType = self.compile(text, name, name)
        made = cast(CompiledTemplate, CompiledTemplate.from_code(self, code, self.make_globals(None)))
        made.text = text
        return made

    def proves(self, text: str) -> bool:
        """Whether a text alone shows that its values stand in right places, and that it captures nothing.

        Raises `TemplateSyntaxError`.
        """
        grammar = GRAMMARS.get(self.checker.format.positions)
        tree: nodes.Template = self.parse(text)
        return not captures(tree) if grammar is None else proved(grammar, tree)

    @internalcode
    def _load_template(self, name: str, globals: MutableMapping[str, Any] | None) -> jinja2.Template:
        path, text = self.read_source(str(name))
        # Not known yet: an empty text stands in, so that this pass can find what else is missing.
        return self.template(path, text if text is not None else "")

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look an attribute or item up; where there is none, remember that its name is the author's."""
        found = super().getattr(obj, attribute)
        if isinstance(found, StrictUndefined) and found._undefined_name == attribute:
            found._undefined_name = _Attribute(attribute)
        return found


class PlainEnvironment(_Checked):
    """Templates that are trusted as their author's own code."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look an attribute or item up, the frequent case first."""
        try:
            return getattr(obj, attribute)
        except AttributeError:
            return super().getattr(obj, attribute)


class SandboxedEnvironment(_Checked, ImmutableSandboxedEnvironment):
    """Templates that reach no private attribute and change no value."""

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Format trusted text by our rules, with the attributes of fields guarded."""
        owner = getattr(value, "__self__", None)
        name = getattr(value, "__name__", "")
        if not isinstance(owner, Safe) or name not in ("format", "format_map"):
            return super().wrap_str_format(value)
        formatter = functools.partial(SandboxedEscapeFormatter, self)
        if name == "format_map":
            return lambda mapping: owner.formatted(formatter, (), mapping)
        return lambda *args, **kwargs: owner.formatted(formatter, args, kwargs)


def make_environment(
    format_: Format, *, sandbox: bool, trim_blocks: bool, lstrip_blocks: bool, marking: bool
) -> _Checked:
    """Make an environment for one template."""
    kind: type[_Checked] = SandboxedEnvironment if sandbox else PlainEnvironment
    environment = kind(
        undefined=StrictUndefined,
        autoescape=True,
        keep_trailing_newline=True,
        trim_blocks=trim_blocks,
        lstrip_blocks=lstrip_blocks,
        cache_size=0,
        optimized=False,
        extensions=("jinja2.ext.do", "jinja2.ext.loopcontrols"),
    )
    environment.prepare(format_, marking=marking)
    return environment


CheckedEnvironment = _Checked
"""The type of both environments."""
