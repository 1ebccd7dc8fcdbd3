"""Log lines: one event, one line on stderr, as text for people or as JSON for machines.

It decides how a record looks, never whether something is worth saying: that is whoever emits it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from types import TracebackType
from typing import TextIO

import msgspec

from ctemplate.events import Event, Level

LEVELS = {
    "debug": Level.DEBUG,
    "info": Level.INFO,
    "warning": Level.WARNING,
    "warn": Level.WARNING,
    "error": Level.ERROR,
}
"""What `-log-level` may say."""


_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(128, 160)) if code != 9}
"""Names come from catalogs, and lines are shown on terminals: escape sequences must not act there."""


_ERASE = "\r\x1b[K"
"""Back to the beginning of the line, and nothing behind it (ECMA-48: EL)."""


class Log:
    """Writes events at or above a level. Calling it is emitting; any thread may.

    What `can_wait` is written with the next line or at the next `flush`, in its place and with its own time.
    """

    def __init__(self, *, level: str = "info", json: bool = False, stream: TextIO | None = None) -> None:
        self.show(level=level, json=json)
        self._stream = stream if stream is not None else sys.stderr
        self._drawn = ""
        self._unwritten: deque[tuple[float, Event]] = deque()
        """When each happened, in seconds since the epoch, and what."""
        self._writing = threading.Lock()

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()

    @property
    def on_terminal(self) -> bool:
        """Whether somebody looks on."""
        return not self._stream.closed and self._stream.isatty()

    def show(self, *, level: str, json: bool) -> None:
        """Show lines at or above `level`, one of `LEVELS`, from now on, as text or as JSON."""
        self.level = LEVELS[level]
        self.json = json

    def __call__(self, event: Event) -> None:
        """Write one event's line. A reader that went away never hurts the daemon."""
        if event.level < self.level:
            return
        self._unwritten.append((time.time(), event))
        if not event.can_wait:
            self.flush()

    def at_once(self, event: Event) -> None:
        """Write one event's line, also of what can wait: for whoever prints something else besides."""
        self(event)
        self.flush()

    def flush(self) -> None:
        """Write what waits."""
        with self._writing:
            lines = ""
            while self._unwritten:
                lines += self._line(*self._unwritten.popleft())
            if lines:
                self._write(f"{_ERASE}{lines}{self._drawn}" if self._drawn else lines)

    def draw(self, text: str) -> None:
        """Show `text` below all lines, on a terminal, in place of what was drawn before; empty: nothing."""
        self._drawn = text
        self._write(_ERASE + text)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            return

    def _line(self, now: float, event: Event) -> str:
        return (self._as_json(now, event) if self.json else self._as_text(now, event)) + "\n"

    def _as_text(self, now: float, event: Event) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(now)) + f".{int(now % 1 * 1000):03d}"
        first, *rest = map(_shown, event.text().split("\n"))
        return "\n".join([f"{stamp} {event.level.name:<7} {first}", *("    " + line for line in rest)])

    def _as_json(self, now: float, event: Event) -> str:
        fields = {name: getattr(event, name) for name in event.__struct_fields__}
        record = {
            "time": now,
            "level": event.level.name.lower(),
            "event": type(event).__name__,
            "text": event.text(),
            **fields,
        }
        return msgspec.json.encode(record, enc_hook=str).decode()


def _shown(line: str) -> str:
    return line if line.isprintable() else line.translate(_CONTROL)
