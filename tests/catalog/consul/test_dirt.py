"""What must be read again: whatever the order of changes, wakes and slow reads, the last answer is the truth."""

from __future__ import annotations

from math import inf

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ctemplate.catalog.consul.dirt import Dirt
from ctemplate.model import Answer, Check, Instance

NAMES, NODES = ("a", "b"), ("n", "m")


def answer_of(name, places, checks):
    """A service on the nodes in `places`, each with its node's check."""
    instances = (
        Instance(id=name, name=name, address="h", port=1, node=node, all_checks=(Check("node", "", checks[node]),))
        for node in sorted(places)
    )
    return Answer(tuple(instances))


class World:
    """Two services on two nodes, a reader whose reads are slow, and polls that tell of changes a little later."""

    def __init__(self):
        self.places = {name: {"n"} for name in NAMES}
        self.checks = dict.fromkeys(NODES, "passing")
        self.known = {name: self.truth(name) for name in NAMES}
        self.dirt = Dirt()
        self.untold = []
        self.batch = {}
        self.now = 1.0

    def truth(self, name):
        return answer_of(name, self.places[name], self.checks)

    def move(self, name, node):
        self.places[name] ^= {node}
        self.untold.append(lambda: self.dirt.mark((name,), now=self.now))

    def flip(self, node):
        self.checks[node] = "critical" if self.checks[node] == "passing" else "passing"
        self.untold.append(lambda: self.tell_node(node))

    def tell_node(self, node):
        self.dirt.mark_node(node, now=self.now)
        there = [name for name, answer in self.known.items() if any(i.node == node for i in answer.value)]
        self.dirt.mark(there, now=self.now)

    def tell(self):
        """One poll comes back."""
        if self.untold:
            self.untold.pop(0)()

    def send(self):
        """The reader takes all in hand; each read sees the world as it is at its own moment."""
        if not self.batch:
            self.batch = dict.fromkeys(self.dirt.take(), (self.now, None))

    def see(self, name):
        if name in self.batch and self.batch[name][1] is None:
            self.batch[name] = self.batch[name][0], self.truth(name)

    def arrive(self):
        self.dirt.read()
        for name, (sent, seen) in self.batch.items():
            self.known[name] = seen or self.truth(name)
            self.dirt.settle(name, self.known[name], sent=sent, now=self.now)
        self.batch = {}


steps = st.one_of(
    st.tuples(st.just("move"), st.sampled_from(NAMES), st.sampled_from(NODES)),
    st.tuples(st.just("flip"), st.sampled_from(NODES)),
    st.tuples(st.just("see"), st.sampled_from(NAMES)),
    st.sampled_from([("tell",), ("send",), ("arrive",)]),
)


# A node's check turns while a read that saw it otherwise is under way, and nobody knew that the service is there.
OVERTAKEN = [("move", "a", "m"), ("tell",), ("send",), ("see", "a"), ("flip", "m"), ("tell",), ("arrive",)]
# A change while the read of an earlier one is under way.
AGAIN = [("move", "a", "m"), ("tell",), ("send",), ("see", "a"), ("move", "a", "n"), ("tell",), ("arrive",)]


@given(st.lists(steps, max_size=40))
@example(OVERTAKEN)
@example(AGAIN)
@settings(max_examples=300)
def test_once_all_is_told_and_read_what_is_known_is_the_truth(story):
    world = World()
    for step, *arguments in story:
        world.now += 1
        getattr(world, step)(*arguments)
    for _ in range(len(story) + 3):
        world.now += 1
        world.tell()
    for _ in range(3):
        world.arrive()
        world.send()
        world.now += 1
    assert world.dirt.since == inf
    assert world.known == {name: world.truth(name) for name in NAMES}


def test_the_most_recently_marked_is_read_first_with_its_latest_mark():
    dirt = Dirt()
    dirt.mark(("a", "b", "c"), now=1.0)
    dirt.mark(("a",), now=2.0)
    assert list(dirt.take().items()) == [("a", 2.0), ("c", 1.0), ("b", 1.0)]
    assert not dirt.names


def test_it_counts_since_the_first_change_that_is_not_read_in_hand_or_not():
    dirt = Dirt()
    dirt.mark_checks(now=0.5)
    assert dirt.since == inf
    dirt.mark(("a",), now=1.0)
    dirt.mark(("a", "b"), now=2.0)
    assert dirt.since == 1.0
    dirt.take()
    dirt.mark(("b",), now=3.0)
    assert dirt.since == 1.0
    dirt.read()
    assert dirt.since == 3.0
    dirt.mark_services(now=4.0)
    dirt.mark_services(now=5.0)
    dirt.take()
    dirt.read()
    assert dirt.since == 4.0
    assert dirt.take_services() == 5.0
    assert dirt.since == 4.0
    dirt.mark_services(now=6.0)
    dirt.found()
    assert (dirt.since, dirt.services, dirt.checks, dirt.stirred) == (6.0, 6.0, 0.5, 6.0)
