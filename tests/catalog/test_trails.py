"""The trail of a path: the names that decide what it means."""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctemplate.catalog.leading import trail, trails


@pytest.fixture
def tree(tmp_path):
    """A release that a link leads to, and a file in it."""
    (tmp_path / "release1" / "etc").mkdir(parents=True)
    (tmp_path / "release1" / "etc" / "a").touch()
    (tmp_path / "current").symlink_to("release1")
    return tmp_path.resolve()


def test_a_trail_is_the_links_on_the_way_and_the_file(tree):
    path = tree / "current" / "etc" / "a"
    assert trail(path) == (tree / "current", tree / "release1" / "etc" / "a")


def test_a_trail_ends_at_the_first_name_that_is_missing_or_no_directory(tree):
    assert trail(tree / "none" / "etc" / "a") == (tree / "none",)
    assert trail(tree / "release1" / "etc" / "a" / "b") == (tree / "release1" / "etc" / "a",)


def test_a_trail_of_links_that_go_round_ends(tree):
    (tree / "round").symlink_to("round")
    assert set(trail(tree / "round" / "a")) == {tree / "round"}


def test_a_directory_on_many_ways_is_looked_at_once(tree, monkeypatch):
    paths = [tree / "release1" / "etc" / name for name in "abcdefgh"]
    looked, lstat = [], Path.lstat
    monkeypatch.setattr(Path, "lstat", lambda path: looked.append(path) or lstat(path))
    assert trails(paths) == {path: (path,) for path in paths}
    assert looked.count(tree / "release1" / "etc") == 1


NAMES = ("a", "b", "c")
PLACES = [Path(*parts) for depth in (1, 2, 3) for parts in itertools.product(NAMES, repeat=depth)]
ROUNDABOUT = [place.parent / ".." / place.name for place in PLACES if len(place.parts) > 1]
TARGETS = ["a", "b", "a/b", "b/c", "../a", "../b/c", "none"]


def make(root, place, kind):
    """Make a file, a directory or a link at a place, where its directory is there, and below `root`."""
    there = Path(os.path.realpath(root / place.parent))
    if not (there.is_relative_to(root) and there.is_dir()) or os.path.lexists(there / place.name):
        return
    if kind == "file":
        (there / place.name).touch()
    elif kind == "directory":
        (there / place.name).mkdir()
    else:
        (there / place.name).symlink_to(kind)


@given(
    kinds=st.fixed_dictionaries(
        {place: st.sampled_from(["file", "directory", "directory", *TARGETS]) for place in PLACES}
    ),
    order=st.permutations([*PLACES, *ROUNDABOUT]),
)
def test_trails_are_what_each_trail_is_alone_whatever_leads_where(kinds, order):
    with tempfile.TemporaryDirectory() as made:
        root = Path(made).resolve()
        for place, kind in kinds.items():
            make(root, place, kind)
        paths = [root / place for place in order]
        assert trails(paths) == {path: trail(path) for path in paths}
