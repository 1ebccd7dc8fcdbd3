"""The search for what a check refuses, on checks that are plain functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ctemplate.changes import Change, Step
from ctemplate.commit.culprits import search
from ctemplate.errors import CommitError

Names = tuple[str, ...]


def changes(names: str) -> list[Change]:
    return [Change(template=name, destination=Path(f"/{name}"), content=b"", old=None) for name in names]


def found(names: str, passes: Callable[[str], bool]) -> tuple[str, str, list[str]]:
    """What is accepted, who are the culprits, and which sets were checked."""
    checked: list[str] = []

    def refuses(some: Sequence[Change]) -> CommitError | None:
        text = "".join(change.template for change in some)
        checked.append(text)
        return None if passes(text) else CommitError(Step.CHECK, text)

    accepted, culprits = search(changes(names), refuses)
    return "".join(c.template for c in accepted), "".join(sorted(c.template for c, _ in culprits)), checked


def test_one_bad_file_among_many_is_found_in_few_checks() -> None:
    names = "abcdefghijklmnopqrstuvwxyz"
    accepted, culprits, checked = found(names, lambda some: "q" not in some)
    assert (accepted, culprits) == (names.replace("q", ""), "q")
    assert len(checked) <= 12


def test_a_file_that_needs_another_passes_with_it() -> None:
    """a names what b defines, and c is bad."""
    accepted, culprits, _ = found("abc", lambda some: "c" not in some and ("a" not in some or "b" in some))
    assert (accepted, culprits) == ("ab", "c")


def test_of_two_that_clash_the_first_stays() -> None:
    accepted, culprits, _ = found("abcd", lambda some: not {"a", "d"} <= set(some))
    assert (accepted, culprits) == ("abc", "d")


def test_when_nothing_passes_everything_is_a_culprit() -> None:
    accepted, culprits, _ = found("abc", lambda some: False)
    assert (accepted, culprits) == ("", "abc")


@given(st.sets(st.sampled_from("abcdefgh")))
def test_exactly_the_bad_ones_are_held(bad: set[str]) -> None:
    accepted, culprits, _ = found("abcdefgh", lambda some: not bad & set(some))
    assert set(culprits) == bad
    assert accepted == "".join(name for name in "abcdefgh" if name not in bad)


@given(st.sets(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef"))), st.sets(st.sampled_from("abcdef")))
def test_what_is_accepted_was_checked_as_it_is(needs: set[tuple[str, str]], bad: set[str]) -> None:
    def passes(some: str) -> bool:
        return not bad & set(some) and all(needed in some for name, needed in needs if name in some)

    accepted, culprits, checked = found("abcdef", passes)
    assert sorted(accepted + culprits) == list("abcdef")
    assert not accepted or accepted in checked
    assert passes(accepted)
