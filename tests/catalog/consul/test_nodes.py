"""In which order nodes are looked at."""

from __future__ import annotations

from ctemplate.catalog.consul.nodes import FIRST_NODES, Nodes

NAMES = [f"n{n}" for n in range(3 * FIRST_NODES)]


def looked_at(nodes, *, now, changed=()):
    """Look at every node in turn, `changed` having something new; the order."""
    order = nodes.in_turn
    for place, name in enumerate(order):
        nodes.see_services(name, {"web": now if name in changed else 1}, known=frozenset(), now=now + place / 1000)
    return order


def all_of(names):
    nodes = Nodes()
    nodes.see_list(set(names), now=0.0)
    looked_at(nodes, now=1)
    return nodes


def test_where_something_was_found_last_comes_first():
    nodes = all_of(NAMES)
    looked_at(nodes, now=10, changed={"n5"})
    looked_at(nodes, now=20, changed={"n7"})
    assert nodes.in_turn[:2] == ["n7", "n5"]


def test_where_changes_are_everywhere_no_node_waits_for_longer_than_a_turn_and_those_that_come_first():
    nodes = all_of(NAMES)
    before = looked_at(nodes, now=10, changed=NAMES)
    for turn in range(2, 6):
        order = looked_at(nodes, now=10 * turn, changed=NAMES)
        assert sorted(order) == sorted(NAMES)
        assert all(order.index(name) <= before.index(name) + FIRST_NODES for name in NAMES)
        before = order
