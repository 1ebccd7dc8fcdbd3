"""What is noted and checked together is refused exactly where one of it would be by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctemplate.render.formats import FORMATS
from ctemplate.render.printer import Noted

TEXTS = st.lists(st.text(max_size=5) | st.text(alphabet="ab.-/ \0\n\"';", max_size=5), max_size=5)


def fit(name, texts):
    return all(FORMATS[name].bare.fullmatch(text) for text in texts)


@pytest.mark.parametrize("name", sorted(FORMATS))
@given(texts=TEXTS)
def test_one_that_is_refused_is_enough(name, texts):
    noted = Noted(FORMATS[name])
    for text in texts[:3]:
        assert noted.note(text) is None
    assert noted.fit() == fit(name, texts[:3])
    for text in texts[3:]:
        noted.note(text)
    assert noted.end() == fit(name, texts)
    assert noted.end(), "what was judged is forgotten"
