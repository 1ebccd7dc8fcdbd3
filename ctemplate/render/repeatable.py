"""Tells by a template's text which loop bodies give the same text for the same record and the same answers.

Such a body reads nothing but its record, names that it sets itself, and functions that ask the snapshot: nothing of
what runs around it. What is not certain is not repeatable; it is only rendered each time, as Jinja2 does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from jinja2 import nodes

_Names = AbstractSet[str]

_UNDERSTOOD: tuple[type[nodes.Node], ...] = (
    nodes.Expr,
    nodes.Helper,
    nodes.Output,
    nodes.If,
    nodes.For,
    nodes.With,
    nodes.Assign,
    nodes.ExprStmt,
    nodes.Break,
    nodes.Continue,
)

_OF_DICTIONARIES = frozenset(("service", "node", "nodes"))
"""Functions whose records `passages` cannot compare in no time: a loop over them would only be slower."""
_ITS_OWN = frozenset(("loop", "self", "super", "caller", "varargs", "kwargs"))
"""Names that Jinja2 gives a meaning by where they stand, whatever global is called so."""


def repeatable(template: nodes.Template, constants: _Names, *, known: _Names) -> list[nodes.For]:
    """Return the outermost loops with such bodies; each runs over a single name, and has no `else`.

    `known` are all global names, `constants` those that mean the same in every pass and functions that only ask the
    snapshot.
    """
    if template.find(nodes.Extends) is not None:
        return []  # its blocks see what the parent sets
    visible = frozenset(_set_by(template.body))
    stored = Counter(_stores(template))
    sure = {node.name: node for node in template.body if isinstance(node, nodes.Macro) and stored[node.name] == 1}
    return list(_Judge(constants - _ITS_OWN, sure, known=known).loops(template.body, visible))


class _Judge:
    """Knows what a body may read, whatever loop it is of."""

    def __init__(self, constants: _Names, macros: dict[str, nodes.Macro], *, known: _Names) -> None:
        self._constants = constants
        self._known = known
        self._macros = macros
        self._judged: dict[str, bool] = {}

    def loops(self, statements: Sequence[nodes.Node], visible: _Names) -> Iterator[nodes.For]:
        """Yield the outermost such loops; `visible` are the names that something around them sets."""
        for node in statements:
            if isinstance(node, nodes.For):
                if self._is_repeatable(node, visible):
                    yield node
                    continue
                yield from self.loops(node.body, visible | set(_stores(node)))
                yield from self.loops(node.else_, visible)
            elif isinstance(node, nodes.If):
                yield from self.loops([*node.body, *node.elif_, *node.else_], visible)
            elif isinstance(node, nodes.With):
                yield from self.loops(node.body, visible | set(_stores(node)))

    def _is_repeatable(self, loop: nodes.For, visible: _Names) -> bool:
        if loop.recursive or loop.else_ or any(_leaves(loop.body)) or not isinstance(loop.target, nodes.Name):
            return False
        if not _OF_DICTIONARIES.isdisjoint(_loads(loop.iter)):
            return False
        condition = [] if loop.test is None else [loop.test]
        return self._reads_only({loop.target.name}, [*condition, *loop.body], visible)

    def _reads_only(self, given: _Names, body: Sequence[nodes.Node], visible: _Names) -> bool:
        """Whether a body reads `given`, what it sets itself and what never changes, and is understood whole."""
        if not all(_is_understood(node) for node in body):
            return False
        # What is set in one branch only is in the other what it is around the body.
        around = visible | self._known | self._macros.keys()
        own = {name for node in body for name in _stores(node)} - around
        read = {name for node in body for name in _loads(node)} - given - own
        return all(self._is_fixed(name, visible) for name in read)

    def _is_fixed(self, name: str, visible: _Names) -> bool:
        macro = self._macros.get(name)
        if macro is None:
            return name in self._constants and name not in visible
        if name not in self._judged:
            self._judged[name] = False  # one that calls itself is not followed
            given = {argument.name for argument in macro.args}
            self._judged[name] = self._reads_only(given, [*macro.defaults, *macro.body], visible)
        return self._judged[name]


def _is_understood(node: nodes.Node) -> bool:
    if not isinstance(node, _UNDERSTOOD) or (isinstance(node, nodes.For) and node.recursive):
        return False
    return all(map(_is_understood, node.iter_child_nodes()))


def _loads(node: nodes.Node) -> Iterator[str]:
    """Yield the names that are read; a loop's own `loop` is none."""
    if isinstance(node, nodes.Name | nodes.NSRef):
        if isinstance(node, nodes.NSRef) or node.ctx == "load":
            yield node.name
    elif isinstance(node, nodes.For):
        for child in node.iter_child_nodes(exclude=("body",)):
            yield from _loads(child)
        yield from (name for child in node.body for name in _loads(child) if name != "loop")
    else:
        for child in node.iter_child_nodes():
            yield from _loads(child)


def _stores(node: nodes.Node) -> Iterator[str]:
    """Yield the names that are set somewhere in it."""
    for found in (node, *node.find_all((nodes.Name, nodes.Macro, nodes.Import, nodes.FromImport))):
        match found:
            case nodes.Name():
                if found.ctx != "load":
                    yield found.name
            case nodes.Macro():
                yield found.name
            case nodes.Import():
                yield found.target
            case nodes.FromImport():
                yield from (name if isinstance(name, str) else name[1] for name in found.names)


def _set_by(statements: Iterable[nodes.Node]) -> Iterator[str]:
    """Yield the names that some statements leave set behind them, perhaps."""
    for node in statements:
        if isinstance(node, nodes.If):
            yield from _set_by([*node.body, *node.elif_, *node.else_])
        elif isinstance(node, nodes.Macro):
            yield node.name  # what stands in it is its own
        elif not isinstance(node, nodes.For | nodes.With):  # what these set is theirs
            yield from _stores(node)


def _leaves(body: Sequence[nodes.Node]) -> Iterator[nodes.Node]:
    """Yield each `break` and `continue` of the loop itself."""
    for node in body:
        if isinstance(node, nodes.Break | nodes.Continue):
            yield node
        elif isinstance(node, nodes.For):
            yield from _leaves(node.else_)
        else:
            yield from _leaves(list(node.iter_child_nodes()))
