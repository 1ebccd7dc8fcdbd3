"""Of what is kept only the changes are written, and whoever reads the file finds what was said last."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

import pytest

from ctemplate.engine.kept import KEYS, Held, decode
from ctemplate.engine.kept_changes import Changes
from ctemplate.model import Answer, Basis, Instance, Kind, Query, ServiceName, Shrink
from ctemplate.render.services import Selection

SERVICES = [Query(kind=Kind.SERVICE, name=f"s{number}") for number in range(6)]
SECRETS = [Query(kind=Kind.KEY, name=f"k{number}") for number in range(2)]
LISTING = Query(kind=Kind.SERVICES)
TEMPLATES = ("/a", "/b", "/c")


class File:
    """What a state directory keeps, written by one process."""

    def __init__(self) -> None:
        self.changes = Changes()
        self.raw = b""
        self.wholes = 0
        self.ends = [0]
        """How long it was after each writing since it was written anew."""

    def write(self, bases: Mapping[str, Basis], holds: Iterable[Held] = (), *, with_keys: Iterable[str] = ()) -> bytes:
        """Write, and return what was."""
        writing = self.changes.since(bases, holds, with_keys=frozenset(with_keys))
        written = b"".join(writing.pieces)
        if writing.whole:
            self.raw, self.ends = b"", []
            self.wholes += 1
        self.raw += written
        self.ends.append(len(self.raw))
        assert self.changes.bytes == len(self.raw)
        return written


def an_answer(dice: random.Random, query: Query) -> Answer:
    if query.kind is Kind.KEY:
        return Answer(f"secret {dice.random()}")
    if query.kind is Kind.SERVICES:
        return Answer(tuple(ServiceName(f"s{dice.randrange(9)}") for _ in range(dice.randrange(4))))
    count = dice.randrange(4)
    return Answer(
        tuple(Instance(id=f"{n}", name=query.name, address="::1", port=dice.randrange(9)) for n in range(count))
    )


def a_basis(dice: random.Random, current: Mapping[Query, Answer]) -> Basis:
    """What a rendering would have followed from: some calls were given less or more than the answer says."""
    read = [query for query in current if dice.random() < 0.7]
    given = {}
    for query in read:
        if query.kind is Kind.SERVICE:
            whole = current[query].value
            given[Selection((query,), (), None)] = whole if dice.random() < 0.8 else (*whole, *whole)
    listed = {LISTING: current[LISTING].value} if LISTING in read else {}
    return Basis(answers={query: current[query] for query in read}, given=given, listed=listed)


def some_holds(dice: random.Random) -> tuple[Held, ...]:
    shrink = Shrink(
        selection=Selection((SERVICES[0],)), before=3, after=1, lost=frozenset({("n", "i")}), reason="why", held=True
    )
    return tuple((name, shrink, float(dice.randrange(9))) for name in dice.sample(TEMPLATES, dice.randrange(3)))


def without_keys(bases: Mapping[str, Basis], with_keys: Iterable[str]) -> dict[str, Basis]:
    return {
        name: Basis(
            answers={q: a for q, a in basis.answers.items() if name in with_keys or q.kind not in KEYS},
            given=basis.given,
            listed=basis.listed,
        )
        for name, basis in bases.items()
    }


@pytest.mark.parametrize("seed", range(20))
def test_whatever_changes_the_file_says_what_is_so(seed):
    dice = random.Random(seed)
    current = {query: an_answer(dice, query) for query in (*SERVICES, *SECRETS, LISTING)}
    bases: dict[str, Basis] = {}
    with_keys: tuple[str, ...] = ("/a",)
    holds: tuple[Held, ...] = ()
    file = File()
    for _ in range(60):
        for query in dice.sample(list(current), dice.randrange(3)):
            current[query] = an_answer(dice, query)
        for name in dice.sample(TEMPLATES, dice.randrange(3)):
            bases[name] = a_basis(dice, current)
        if dice.random() < 0.1:
            bases.pop(dice.choice(TEMPLATES), None)
        if dice.random() < 0.05:
            with_keys = tuple(dice.sample(TEMPLATES, dice.randrange(3)))
        if dice.random() < 0.3:
            holds = some_holds(dice)
        file.write(dict(bases), holds, with_keys=with_keys)
        expected = without_keys(bases, with_keys)
        known = decode(file.raw)
        assert (known.bases, known.holds) == (expected, holds)
        said = {a.value for b in expected.values() for q, a in b.answers.items() if q.kind in KEYS}
        assert file.raw.count(b"secret") == len(said)
    assert file.wholes < 60


def test_a_writing_that_was_cut_short_counts_for_nothing():
    dice = random.Random(3)
    current = {query: an_answer(dice, query) for query in SERVICES}
    file, known = File(), {}
    bases = {name: a_basis(dice, current) for name in TEMPLATES}
    while len(file.ends) < 7:
        query = dice.choice(SERVICES)
        if len(file.ends) % 3:  # the others are nothing but an end
            current[query] = an_answer(dice, query)
            bases = bases | {dice.choice(TEMPLATES): a_basis(dice, current)}
        holds = some_holds(dice)
        file.write(bases, holds)
        known[len(file.raw)] = bases, holds
    for length in range(len(file.raw) + 1):
        torn = file.raw[:length] + dice.choice([b"", b"\0\0\0", b'{"is":"end","wr'])
        whole = max((end for end in file.ends if end <= length), default=0)
        if whole:
            read = decode(torn)
            assert (read.bases, read.holds) == known[whole]
        else:
            with pytest.raises(ValueError):
                decode(torn)


def test_of_a_writing_that_is_torn_in_the_middle_the_one_before_counts():
    file, dice = File(), random.Random(4)
    answers = {f"s{n}": an_answer(dice, SERVICES[0]) for n in range(200)}
    before = bases_of(**answers)
    length = len(file.write(before))
    added = len(file.write(bases_of(**answers | {"s7": an_answer(dice, SERVICES[0])})))
    torn = bytearray(file.raw)
    torn[length + added // 3 : length + added // 2] = bytes(added // 2 - added // 3)
    assert decode(bytes(torn)).bases == before
    torn[length // 3 : length // 2] = bytes(length // 2 - length // 3)
    with pytest.raises(ValueError):
        decode(bytes(torn))


def bases_of(**answers: Answer) -> dict[str, Basis]:
    read = {Query(kind=Kind.SERVICE, name=name): answer for name, answer in answers.items()}
    given = {Selection((query,), (), None): answer.value for query, answer in read.items()}
    return {"/out": Basis(answers=read, given=given)}


def test_an_answer_that_two_queries_share_is_kept_for_each():
    """Names in two cases are one to Consul."""
    answer = Answer((Instance(id="w", name="web", address="::1", port=1),))
    file = File()
    file.write(bases_of(web=answer, Web=answer))
    assert decode(file.raw).bases == bases_of(web=answer, Web=answer)


def test_of_many_services_only_the_one_that_changed_is_written():
    dice = random.Random(1)
    answers = {f"s{n}": an_answer(dice, SERVICES[0]) for n in range(200)}
    file = File()
    whole = file.write(bases_of(**answers))
    answers["s7"] = Answer((Instance(id="new", name="s7", address="::1", port=7),))
    added = file.write(bases_of(**answers))
    assert b'"new"' in added
    assert len(added) < len(whole) / 50
    assert decode(file.raw).bases == bases_of(**answers)


def test_what_is_added_is_not_written_twice():
    dice = random.Random(5)
    file, answers = File(), {}
    for number in range(40):
        answers[f"s{number}"] = an_answer(dice, SERVICES[0])
        templates = {f"/{name}": basis for name in answers for basis in bases_of(**{name: answers[name]}).values()}
        file.write(templates)
    assert file.wholes == 1
    for number in range(39):
        del templates[f"/s{number}"]
        file.write(dict(templates))
    assert file.wholes > 2, "what is gone is in the way"


def test_the_file_never_grows_to_more_than_twice_what_it_had_to_say_and_one_writing():
    dice = random.Random(2)
    file = File()
    longest = 0
    for _ in range(300):
        answers = {f"s{n}": an_answer(dice, SERVICES[0]) for n in range(20)}
        longest = max(longest, len(file.write(bases_of(**answers))))
        assert len(file.raw) < 3 * longest
    assert file.wholes > 10
