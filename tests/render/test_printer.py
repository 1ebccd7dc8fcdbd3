"""What is noted and checked together is refused exactly where one of it would be by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctemplate.render.formats import FORMATS
from ctemplate.render.printer import Noted

TEXTS = st.lists(st.text(max_size=5) | st.text(alphabet="ab.-/ \0\n\"';", max_size=5), max_size=5)


@pytest.mark.parametrize("name", sorted(FORMATS))
@given(texts=TEXTS)
def test_one_that_is_refused_is_enough(name, texts):
    noted = Noted(FORMATS[name])
    for text in texts[:3]:
        assert noted.note(text) is None
    noted.settle()
    for text in texts[3:]:
        noted.note(text)

    assert noted.refused() == any(FORMATS[name].bare.fullmatch(text) is None for text in texts)


def test_what_was_judged_is_forgotten():
    noted = Noted(FORMATS["nginx"])
    noted.note("a;b")

    assert (noted.refused(), noted.refused()) == (True, False)
