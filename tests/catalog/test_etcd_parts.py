"""A layout's work, done by parts, is what it would be at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctemplate.catalog.etcd.layouts import LAYOUTS, registrator
from ctemplate.catalog.etcd.parts import Parts

PATHS = st.lists(st.sampled_from(["web", "api", "a", "b", ""]), min_size=1, max_size=4).map("/".join)
VALUES = st.sampled_from(
    [
        b"10.0.0.1:80",
        b"10.0.0.2:81",
        b"none",
        b'{"host":"10.0.0.3","port":1}',
        b'{"Addr":"10.0.0.4:2"}',
        b'{"address":"h"}',
    ]
)
RANGES = st.dictionaries(PATHS, VALUES, max_size=12).map(lambda pairs: sorted(pairs.items()))


@pytest.mark.parametrize("name", LAYOUTS)
@given(ranges=st.lists(RANGES, min_size=1, max_size=4))
def test_range_after_range_is_laid_out_as_at_once(name, ranges):
    parts = Parts(LAYOUTS[name])
    for pairs in ranges:
        found, whole = parts.found(iter(pairs)), LAYOUTS[name](pairs)
        assert found == whole
        assert found.services() == whole.services()


def test_a_part_in_which_nothing_changed_is_not_laid_out_again():
    laid = []

    def layout(pairs):
        pairs = list(pairs)
        laid.append([path for path, _ in pairs])
        return registrator(pairs)

    parts = Parts(layout)
    before = [("api/a", b"10.0.0.1:1"), ("web/a", b"10.0.0.1:1"), ("web/b", b"10.0.0.1:2")]
    parts.found(before)
    laid.clear()
    found = parts.found([*before[:2], ("web/b", b"10.0.0.1:3")])
    assert laid == [["web/a", "web/b"]]
    assert [i.port for i in found.service("web").value] == [1, 3]
    assert [i.port for i in found.service("api").value] == [1]
    assert parts.found(before[:1]).service("web").value == ()
