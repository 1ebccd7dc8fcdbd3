from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctemplate.config import parse_duration, parse_wait
from ctemplate.errors import ConfigError
from ctemplate.settings import Wait


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("5s", 5.0),
        ("250ms", 0.25),
        ("1m30s", 90.0),
        ("2h", 7200.0),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("1d", 86400.0),
        ("0", 0.0),
        ("0s", 0.0),
        (" 5s ", 5.0),
        ("60", 60.0),
        (5, 5.0),
        (0.25, 0.25),
    ],
)
def test_a_duration_is_read_as_seconds(written, seconds):
    assert parse_duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written",
    ["", "s", "5x", "5 s", "5S", "1s2", "five", "--5s", "٣s", "1e3s", "inf", "nan", True, False, None, [], math.nan],
)
def test_what_is_no_duration_is_refused_with_an_example(written):
    with pytest.raises(ConfigError, match='expected a duration such as "5s"'):
        parse_duration(written)


@pytest.mark.parametrize("written", ["-5s", "-1", -1, -0.5, "367d", "9" * 400 + "s", 10**400, math.inf])
def test_a_negative_or_absurd_duration_is_refused(written):
    with pytest.raises(ConfigError, match="between 0 and 366 days"):
        parse_duration(written)


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_parts_of_a_duration_add_up(hours, minutes, seconds, milliseconds):
    written = f"{hours}h{minutes}m{seconds}s{milliseconds}ms"
    assert parse_duration(written) == pytest.approx(hours * 3600 + minutes * 60 + seconds + milliseconds / 1000)


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_a_configuration_error(text):
    try:
        seconds = parse_duration(text)
    except ConfigError:
        return
    assert 0 <= seconds <= 366 * 86400


@pytest.mark.parametrize(
    ("written", "wait"),
    [
        ("2s", Wait(2.0, 8.0)),
        ("1s:4s", Wait(1.0, 4.0)),
        ("1s:1s", Wait(1.0, 1.0)),
        ("500ms:1m", Wait(0.5, 60.0)),
        ("0", Wait(0.0, 0.0)),
        (3, Wait(3.0, 12.0)),
    ],
)
def test_a_wait_has_a_maximum_four_times_its_minimum_unless_given(written, wait):
    assert parse_wait(written) == wait


@pytest.mark.parametrize("written", ["4s:1s", "-1s:2s", "1s:", ":1s", "1s:2s:3s", "x", "", None, True])
def test_a_wait_that_cannot_be_is_refused(written):
    with pytest.raises(ConfigError, match=r"expected MIN\[:MAX\]"):
        parse_wait(written)


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_wait_is_accepted_exactly_when_it_is_in_order(first, second):
    written = f"{first:f}s:{second:f}s"
    minimum, maximum = (float(f"{value:f}") for value in (first, second))
    if minimum > maximum:
        with pytest.raises(ConfigError):
            parse_wait(written)
    else:
        assert parse_wait(written) == Wait(minimum, maximum)
