"""`python -m crash.recovering ROOT DESTINATION…`: what the next start does before anything else, a line at a time.

For each line on standard input the recovery runs on what is on disk, and one line of JSON tells what it said.
To be run below strace, where a crash inside the recovery is to be tried as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from crash.recording import MARK
from crash.sites import announce
from ctemplate.commit.events import CommitBroken, JournalSetAside
from ctemplate.commit.group import Committer
from ctemplate.events import Event
from ctemplate.state import State

_TROUBLE = (CommitBroken, JournalSetAside)


def recover(root: Path, destinations: Sequence[Path]) -> list[str]:
    """Do what a start does, and return what it complained of."""
    told: list[Event] = []
    with State(root / "state") as state:
        committer = Committer(
            journal_dir=state.journal_dir, rejected_dir=state.rejected_dir, emit=told.append, cancel=threading.Event()
        )
        committer.recover()
        committer.sweep_leftovers(destinations)
    return [event.text() for event in told if isinstance(event, _TROUBLE)]


def _say(word: str) -> None:
    with contextlib.suppress(OSError):
        os.readlink(f"{MARK}/{word}")


if __name__ == "__main__":
    announce()
    for number, _ in enumerate(sys.stdin):
        _say(f"recovery/{number}")
        try:
            answer = recover(Path(sys.argv[1]), [Path(word) for word in sys.argv[2:]])
        except Exception as error:  # whatever it is, it is the test's finding
            answer = [f"raised {error!r}"]
        _say("over")
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
