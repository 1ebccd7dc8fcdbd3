from __future__ import annotations

import io
import json
import time

from ctemplate.events import Debugged, Notice, Warned
from ctemplate.observe.log import Log


def test_a_text_line_has_time_level_and_words():
    stream = io.StringIO()
    Log(stream=stream)(Warned(message="the catalog is away"))
    stamp, level, words = stream.getvalue().split(maxsplit=2)
    assert (len(stamp), level, words) == (23, "WARNING", "the catalog is away\n")


def test_further_lines_of_one_event_are_indented_under_it():
    stream = io.StringIO()
    Log(stream=stream)(Notice(message="first\nsecond"))
    assert stream.getvalue().splitlines()[1] == "    second"


def test_a_json_line_is_one_object_with_the_events_own_fields():
    stream = io.StringIO()
    Log(json=True, stream=stream)(Warned(message="a\nb"))
    (line,) = stream.getvalue().splitlines()
    record = json.loads(line)
    assert (record["event"], record["level"], record["message"]) == ("Warned", "warning", "a\nb")


def test_what_is_below_the_level_is_not_written():
    stream = io.StringIO()
    log = Log(level="warning", stream=stream)
    log(Notice(message="quiet"))
    log(Debugged(message="quieter"))
    assert stream.getvalue() == ""


def test_a_reader_that_went_away_does_not_hurt():
    stream = io.StringIO()
    stream.close()
    Log(stream=stream)(Notice(message="nobody"))


def test_an_escape_sequence_in_a_name_does_not_reach_the_terminal():
    stream = io.StringIO()
    Log(stream=stream)(Notice(message="a\x1b[2Jb\rc"))
    assert stream.getvalue().endswith("a\\x1b[2Jb\\x0dc\n")


def test_what_is_drawn_below_the_lines_is_never_mixed_with_one():
    stream = io.StringIO()
    log = Log(stream=stream)
    log.draw("3 of 9")
    log(Notice(message="a line"))
    log.draw("")
    log(Notice(message="another"))
    before, line, after = stream.getvalue().partition("\r\x1b[K")[2].split("\r\x1b[K")
    assert before == "3 of 9"
    assert line.endswith("a line\n3 of 9"), "it is drawn again below"
    assert after.endswith("another\n")


class _Waits(Notice, frozen=True, kw_only=True):
    can_wait = True


def test_a_line_that_can_wait_is_written_before_the_next():
    stream = io.StringIO()
    log = Log(stream=stream)
    log(_Waits(message="first"))
    assert stream.getvalue() == ""
    log(Notice(message="second"))
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == ["first", "second"]


def test_what_is_said_at_once_does_not_wait():
    stream = io.StringIO()
    Log(stream=stream).at_once(_Waits(message="now"))
    assert stream.getvalue().endswith("now\n")


def test_a_line_that_can_wait_has_the_time_of_what_happened():
    stream = io.StringIO()
    log = Log(json=True, stream=stream)
    log(_Waits(message="first"))
    happened = time.time()
    time.sleep(0.01)
    log.flush()
    assert json.loads(stream.getvalue())["time"] <= happened


def test_a_line_that_waits_is_written_at_the_end():
    stream = io.StringIO()
    with Log(stream=stream) as log:
        log(_Waits(message="the last"))
    assert stream.getvalue().endswith("the last\n")
