"""The compiler's part of the value check: Jinja2's code generator with every way into the output closed.

It stands on hooks of Jinja2 3.1 that are not documented (hence the pinned version, and `selftest`,
which refuses to run where they do not hold). What it changes:

- every printed expression goes through `printer`, call blocks and filter blocks too; only a number does not, and a
  string that is noted, to be checked with others after the passage or the pass (`printer.Noted`);
- fields of instances are read where they stand;
- a string literal of the author is trusted text, made once;
- nothing is folded at compile time but template text, because folding knows only HTML;
- `{% autoescape %}` is refused;
- which expression of a template's line stands at which line of the generated code is kept for messages;
- a loop's body that would give the same text again is not run (`passages`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from jinja2 import compiler, nodes

from ctemplate.model import Instance
from ctemplate.render.formats import has_marks
from ctemplate.render.repeatable import repeatable

if TYPE_CHECKING:
    from ctemplate.render.environment import CheckedEnvironment

_OF_INSTANCES = frozenset((*Instance.__struct_encode_fields__, "host", "endpoint"))
"""Read as `of`, and what is printed as `shown`: each is used up by the expression that sets it, inner before outer."""


class SafeCodeGenerator(compiler.CodeGenerator):
    """Generates code whose output is checked. What the environment has as `names` is put into its module."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.optimizer = None
        self._seen: dict[int, int] = {}
        self._ordinals: dict[int, int] = {}
        self._kept: dict[int, int] = {}
        """`id()` of the body of a loop whose passages are kept → the loop's number."""

    def _output_child_to_const(self, node: nodes.Expr, frame: compiler.Frame, finalize: Any) -> str:
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return node.data

    def _output_child_pre(self, node: nodes.Expr, frame: compiler.Frame, finalize: Any) -> None:
        self.write("(shown if type(shown := ")
        ordinal = self._seen.get(node.lineno, 0)
        self._seen[node.lineno] = ordinal + 1
        self._ordinals[self.code_lineno] = ordinal

    def _output_child_post(self, node: nodes.Expr, frame: compiler.Frame, finalize: Any) -> None:
        self.write(") is str and note(shown) is None else f'{shown}' if type(shown) is int else printer(shown))")

    def write_commons(self) -> None:
        """Take what notes strings in this pass, where the code of the template or of a block begins."""
        super().write_commons()
        self.writeline("note = environment.note")

    def visit_Getattr(self, node: nodes.Getattr, frame: compiler.Frame) -> None:
        """What every instance has is looked up without a call: large files print little else."""
        if node.attr not in _OF_INSTANCES:
            super().visit_Getattr(node, frame)
            return
        self.write(f"(of.{node.attr} if type(of := ")
        self.visit(node.node, frame)
        self.write(f") is Instance else environment.getattr(of, {node.attr!r}))")

    def visit_Template(self, node: nodes.Template, frame: compiler.Frame | None = None) -> None:
        """Refuse reserved characters, and keep where expressions stand."""
        for data in node.find_all(nodes.TemplateData):
            if has_marks(data.data):
                self.fail("the template holds a character of U+E000–U+E002, which are reserved", data.lineno)
        if cast("CheckedEnvironment", self.environment).keeping:
            self._keep_passages(node)
        super().visit_Template(node, frame)
        self.writeline(f"ordinals = {self._ordinals!r}")

    def _keep_passages(self, template: nodes.Template) -> None:
        """Let the loops that may run their bodies for the records that are `due` only."""
        environment = cast("CheckedEnvironment", self.environment)
        loops = repeatable(template, environment.constants, known=environment.globals.keys())
        for number, loop in enumerate(loops):
            if loop.test is not None:  # whom it leaves out has an empty passage
                loop.body, loop.test = [nodes.If(loop.test, loop.body, [], [], lineno=loop.lineno)], None
            loop.iter = _call("due", nodes.Const(number), loop.iter, lineno=loop.lineno)
            self._kept[id(loop.body)] = number

    def visit_For(self, node: nodes.For, frame: compiler.Frame) -> None:
        """Print the page of a loop whose passages are kept, after it."""
        super().visit_For(node, frame)
        number = self._kept.get(id(node.body))
        if number is not None:
            self.simple_write(f"page({number})", frame)

    def blockvisit(self, body: Iterable[nodes.Node], frame: compiler.Frame) -> None:
        """Hand over what the body of such a loop made, rather than print it."""
        number = self._kept.get(id(body))
        if number is None:
            super().blockvisit(body, frame)
            return
        outer = frame.buffer
        self.buffer(frame)
        super().blockvisit(body, frame)
        self.writeline(f"keep({number}, concat({frame.buffer}))")
        frame.buffer = outer

    def visit_Const(self, node: nodes.Const, frame: compiler.Frame) -> None:
        """A string literal is trusted text, made once."""
        if isinstance(node.value, str):
            if has_marks(node.value):
                self.fail("the template holds a character of U+E000–U+E002, which are reserved", node.lineno)
            self.write(f"literals[{node.value!r}]")
        else:
            super().visit_Const(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: compiler.Frame) -> None:
        """`~` checks its data."""
        self.write("joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_CallBlock(self, node: nodes.CallBlock, frame: compiler.Frame) -> None:
        """What the called function returns is checked."""
        call_frame, macro_ref = self.macro_body(node, frame)
        self.writeline("caller = ")
        self.macro_def(macro_ref, call_frame)
        self.start_write(frame, node)
        self.write("printer(")
        self.visit_Call(node.call, frame, forward_caller=True)
        self.write(")")
        self.end_write(frame)

    def visit_FilterBlock(self, node: nodes.FilterBlock, frame: compiler.Frame) -> None:
        """What the filter returns is checked."""
        filter_frame = frame.inner()
        filter_frame.symbols.analyze_node(node)
        self.enter_frame(filter_frame)
        self.buffer(filter_frame)
        self.blockvisit(node.body, filter_frame)
        self.start_write(frame, node)
        self.write("printer(")
        self.visit_Filter(node.filter, filter_frame)
        self.write(")")
        self.end_write(frame)
        self.leave_frame(filter_frame)

    def visit_AssignBlock(self, node: nodes.AssignBlock, frame: compiler.Frame) -> None:
        """A set block is trusted text; what a filter made of it need not be."""
        self.push_assign_tracking()
        block_frame = frame.inner()
        block_frame.require_output_check = False
        block_frame.symbols.analyze_node(node)
        self.enter_frame(block_frame)
        self.buffer(block_frame)
        self.blockvisit(node.body, block_frame)
        self.newline(node)
        self.visit(node.target, frame)
        self.write(" = ")
        if node.filter is not None:
            self.visit_Filter(node.filter, block_frame)
        else:
            self.write(f"Markup(concat({block_frame.buffer}))")
        self.pop_assign_tracking(frame)
        self.leave_frame(block_frame)

    def visit_ScopedEvalContextModifier(self, node: nodes.ScopedEvalContextModifier, frame: compiler.Frame) -> None:
        """Refuse."""
        self.fail("autoescape cannot be switched: values are checked for the output format", node.lineno)

    def visit_EvalContextModifier(self, node: nodes.EvalContextModifier, frame: compiler.Frame) -> None:
        """Refuse."""
        self.fail("autoescape cannot be switched: values are checked for the output format", node.lineno)


def _call(name: str, *arguments: nodes.Node, lineno: int) -> nodes.Call:
    """Call what stands in the module under this name."""
    function: nodes.InternalName = object.__new__(nodes.InternalName)  # as Jinja2's own parser makes one
    nodes.Node.__init__(function, name, lineno=lineno)
    return nodes.Call(function, list(arguments), [], None, None, lineno=lineno)
