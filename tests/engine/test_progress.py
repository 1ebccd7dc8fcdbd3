from __future__ import annotations

import asyncio
import io

from ctemplate.engine import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(counts, stream, monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    monkeypatch.setattr(progress, "TERMINAL_SECONDS", 0.0)
    left, events = iter(counts), []
    asyncio.run(progress.show(lambda: next(left), emit=events.append, stream=stream))
    return [event.text() for event in events]


def test_in_a_log_it_says_how_far_it_is_until_all_is_there(monkeypatch):
    said = run([(0, 0), (3, 9), (9, 9)], io.StringIO(), monkeypatch)
    assert said == ["0 of 0 answers have come", "3 of 9 answers have come"]


def test_on_a_terminal_it_is_one_line_that_is_gone_at_the_end(monkeypatch):
    terminal = Terminal()
    assert run([(0, 0), (3, 9), (8, 9), (9, 9)], terminal, monkeypatch) == []
    assert terminal.getvalue() == "\r3 of 9 answers have come\r8 of 9 answers have come\r\x1b[K"
