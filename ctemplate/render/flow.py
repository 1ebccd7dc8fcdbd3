"""Proves by a template's text that no value of it stands in a wrong place, so that its output needs no marks.

Every expression is taken for one word or for nothing; conditions go both ways and loops run any number
of times, so the lexer of `positions` is followed through sets of states. Templates with macros, blocks,
includes and the like are not looked into: they are rendered with marks and their output is lexed, which
costs about twice as much. A proof that fails is no error either; the marks decide then.
"""

from __future__ import annotations

from jinja2 import nodes

from ctemplate.render.formats import OPEN
from ctemplate.render.grammars import Grammar
from ctemplate.render.positions import Misplaced, State, lex, start

_States = frozenset[State]
_NONE: _States = frozenset()

_OPAQUE: tuple[type[nodes.Node], ...] = (
    nodes.Macro,
    nodes.CallBlock,
    nodes.FilterBlock,
    nodes.AssignBlock,
    nodes.Include,
    nodes.Import,
    nodes.FromImport,
    nodes.Extends,
    nodes.Block,
)


_NO_WORD = ("quote", "safe", "to_json", "tojson", "to_yaml")
"""Filters that return trusted text of any shape."""


class _Unprovable(Exception):
    """The text alone does not tell."""


def captures(template: nodes.Template) -> bool:
    """Whether something takes what is printed for a value, or might: a macro, a set block, a text that is included."""
    recursive = (loop.recursive for loop in template.find_all(nodes.For))
    return any(template.find(kind) is not None for kind in _OPAQUE) or any(recursive)


def proved(grammar: Grammar, template: nodes.Template) -> bool:
    """Whether every value of the template stands in a right place, whatever the data are; it captures nothing."""
    if captures(template):
        return False
    if any(node.name in _NO_WORD for node in template.find_all(nodes.Filter)):
        return False
    try:
        _Flow(grammar).body(template.body, frozenset((start(grammar),)))
    except (_Unprovable, Misplaced):
        return False
    return True


class _Flow:
    """Follows the lexer's states through statements; `_leaves` and `_repeats` hold those of `break` and `continue`."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._leaves: _States = _NONE
        self._repeats: _States = _NONE

    def body(self, statements: list[nodes.Node], states: _States) -> _States:
        """Return the states after some statements; raises `Misplaced` or `_Unprovable`."""
        for statement in statements:
            states = self._statement(statement, states)
        return states

    def _statement(self, node: nodes.Node, states: _States) -> _States:
        if isinstance(node, nodes.Output):
            for child in node.nodes:
                states = self._output(child, states)
            return states
        if isinstance(node, nodes.If):
            return self._if(node, states)
        if isinstance(node, nodes.For):
            return self._for(node, states)
        if isinstance(node, nodes.With | nodes.Scope):
            return self.body(node.body, states)
        if isinstance(node, nodes.Assign | nodes.ExprStmt):
            return states
        if isinstance(node, nodes.Break):
            self._leaves |= states
            return _NONE
        if isinstance(node, nodes.Continue):
            self._repeats |= states
            return _NONE
        raise _Unprovable

    def _output(self, child: nodes.Node, states: _States) -> _States:
        if isinstance(child, nodes.TemplateData):
            return frozenset(lex(self._grammar, state, child.data) for state in states)
        return states | frozenset(lex(self._grammar, state, OPEN) for state in states)

    def _if(self, node: nodes.If, states: _States) -> _States:
        after = self.body(node.body, states)
        for branch in node.elif_:
            after |= self.body(branch.body, states)
        return after | self.body(node.else_, states)

    def _for(self, node: nodes.For, states: _States) -> _States:
        outer = self._leaves, self._repeats
        entered, left = states, states
        while True:
            self._leaves, self._repeats = _NONE, _NONE
            again = self.body(node.body, entered) | self._repeats
            left |= again | self._leaves
            if again <= entered:
                break
            entered |= again
        self._leaves, self._repeats = outer
        return left | self.body(node.else_, states)
