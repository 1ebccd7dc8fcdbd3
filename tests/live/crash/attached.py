"""The real daemon with strace on the thread that commits: where a call is to fail, or the process to die, from outside.

The product has no hooks for this. The reload command, which that thread starts, tells its number; strace attaches
to it alone, so that calls are counted from there: the N-th `rename` of the next commit is the same in every run.
Content is the word in one included file, which all templates read: an edit, so that nothing is held back from it.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

CHANGING = (
    "openat write fsync fdatasync link linkat rename renameat renameat2 unlink unlinkat mkdir rmdir "
    "fchmod fchown ftruncate fallocate fsetxattr fremovexattr pipe2 vfork clone clone3"
)
"""The calls that change something (`openat` where it creates), and those that start a command."""
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*?)(?:\)\s+=|<unfinished)", re.DOTALL)


class Point(NamedTuple):
    """The N-th call of its name in a commit."""

    call: str
    number: int


class Rig:
    """A daemon that commits some files as one group, each holding the word and its own name."""

    def __init__(self, directory: Path, names: Sequence[str], *, launcher: Any, strace: str, eventually: Any) -> None:
        self.live = directory / "live"
        self.names = names
        self.launcher = launcher
        self._directory = directory
        self._strace = strace
        self._eventually = eventually
        self._log = directory / "log"
        for name in names:
            (self.live / name).parent.mkdir(parents=True, exist_ok=True)
        files = " ".join(str(self.live / name) for name in names)
        (directory / "reload").write_text(
            "#!/bin/sh\n"
            'for task in /proc/$PPID/task/*; do case " $(cat $task/children) " in\n'
            f'*" $$ "*) echo "${{task##*/}}" > {directory}/thread;; esac; done\n'
            f"cat {files} 2> /dev/null | tr '\\n' ' ' >> {self._log}; echo >> {self._log}\n"
        )
        (directory / "reload").chmod(0o755)
        (directory / "services.yaml").write_text("services: {}\n")
        lines = [f"catalog = 'file:{directory}/services.yaml'", "[reload_group.g]", "cooldown = '0s'", "atomic = true"]
        for number, name in enumerate(names):
            source = directory / f"{number}.j2"
            source.write_text(f'{{% include "word" %}} {name}\n')
            lines += ["[[template]]", f"source = '{source}'", f"destination = '{self.live / name}'"]
            lines += [f"command = 'exec {directory}/reload'", "reload_group = 'g'"]
        self._config = directory / "ctemplate.toml"
        self._config.write_text("\n".join(lines) + "\n")

    def start(self, word: str) -> Any:
        """Start the daemon where there are no files yet, and wait until it has committed the word."""
        for name in self.names:
            (self.live / name).unlink(missing_ok=True)
        self.edit(word)
        running = self.launcher("-config", self._config)
        running.wait_for("committed", timeout=30)
        return running

    def edit(self, word: str) -> None:
        """Change what all files are to hold."""
        passing = self._directory / "word.passing"
        passing.write_text(word)
        passing.replace(self._directory / "word")

    def next_start(self) -> Any:
        """Start it once more with nothing to render: all that it can do is to finish or undo."""
        (self._directory / "word").unlink(missing_ok=True)
        return self.launcher.run("-once", "-timeout", "0.1s", "-config", self._config, timeout=60)

    def once(self, word: str) -> Any:
        """Start it once more to commit the word."""
        self.edit(word)
        return self.launcher.run("-once", "-config", self._config, timeout=60)

    @contextlib.contextmanager
    def attached(self, *options: str) -> Iterator[Path]:
        """Have strace on the committing thread; yields its log."""
        thread = (self._directory / "thread").read_text().strip()
        calls = ",".join(f"?{name}" for name in CHANGING.split())
        log = self._directory / "strace"
        words = [self._strace, "-p", thread, "-qq", "-e", f"trace={calls}", *options, "-o", str(log)]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            status = Path(f"/proc/{thread}/status")
            try:
                self._eventually(lambda: not re.search(r"TracerPid:\t0\n", status.read_text()), 20)
                yield log
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(20)

    def set_on_disk(self) -> str:
        """Return the word that all files hold; else what they hold."""
        texts = {name: (self.live / name).read_text() if (self.live / name).exists() else "" for name in self.names}
        words = {text.split(" ")[0] for text in texts.values() if text}
        whole = all(text in ("", f"{word} {name}\n") for name, text in texts.items() for word in words)
        return words.pop() if len(words) == 1 and whole else json.dumps(texts)

    def torn(self) -> list[str]:
        """Return the names of files that hold neither `old NAME` nor `new NAME`."""
        whole = {name: ("", f"old {name}\n", f"new {name}\n") for name in self.names}
        return [n for n in self.names if (self.live / n).exists() and (self.live / n).read_text() not in whole[n]]

    def served(self) -> str:
        """Return the word that the last reload saw in all files; else what it saw."""
        seen = self._log.read_text().splitlines()[-1].split()
        words = set(seen[::2])
        return words.pop() if len(words) == 1 else " ".join(seen)

    def left_behind(self) -> list[str]:
        """Return what is neither a destination nor anything that stays: hidden files, journals."""
        files = [path for path in self.live.rglob("*") if path.is_file()]
        hidden = [str(path) for path in files if str(path.relative_to(self.live)) not in self.names]
        return hidden + [str(path) for path in (self.launcher.state_dir / "journal").iterdir()]


def points(log: Path, *, reads: bool = False) -> list[Point]:
    """Return the points of a recorded commit, in order; also where it opens what it only reads, if so said.

    What is written to the log (descriptor 2) is no point of a commit.
    """
    counts: dict[str, int] = {}
    found = []
    for call in map(_CALL.match, log.read_text().splitlines()):
        if call is None:
            continue
        name = call["name"]
        counts[name] = counts.get(name, 0) + 1
        told = name == "write" and call["arguments"].startswith("2,")
        if not told and (reads or name != "openat" or "O_CREAT" in call["arguments"]):
            found.append(Point(name, counts[name]))
    return found


Make = Callable[..., Rig]
