"""The same with a real nginx: what a start makes of a crash is what nginx serves, and it is proved."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from crash.disk import Disk, State
from crash.exploring import HERE
from crash.layout import lay_out, take
from crash.recording import Operation, Ran, record
from crash.scenario import UNREAD
from ctemplate.changes import Broken, Committed, Outcome, Proof
from ctemplate.commit.group import Committer


class Site:
    """Two files in a directory that nginx includes, and the state of a disk that holds them."""

    def __init__(self, nginx: Any, root: Path, eventually: Callable[..., Any]) -> None:
        self.nginx = nginx
        self.root = root
        self._eventually = eventually
        nginx.conf.write_text(nginx.conf.read_text().replace("include conf.d", f"include {root}/live"))
        lay_out(self.state("old"), root=root)
        nginx.start()

    def texts(self, word: str) -> dict[str, str]:
        """Return the files, of which one names what the other defines."""
        return {
            "map.conf": f'map $host $second {{ default "{word}"; }}\n',
            "site.conf": f'server {{ listen 127.0.0.1:{self.nginx.port}; return 200 "{word} $second"; }}\n',
        }

    def state(self, word: str) -> State:
        nodes: dict[str, tuple[str, bytes] | None] = dict.fromkeys(
            ("live", "state", "state/journal", "state/rejected", "state/requests")
        )
        nodes |= {f"live/{name}": (f"live/{name}", text.encode()) for name, text in self.texts(word).items()}
        return tuple(sorted(nodes.items()))

    def crash(self, state: State, *, served: str) -> None:
        """Let nginx serve one thing, and the disk hold another."""
        lay_out(self.state(served), root=self.root)
        before = self.nginx.workers()
        subprocess.run(self.nginx.command("-s", "reload"), check=True, capture_output=True)
        self._eventually(lambda: self.nginx.workers() and not self.nginx.workers() & before)
        assert self.served == served
        lay_out(state, root=self.root)

    def recover(self) -> dict[str, Outcome]:
        """Do what a start does."""
        journals, rejected = self.root / "state/journal", self.root / "state/rejected"
        committer = Committer(
            journal_dir=journals, rejected_dir=rejected, emit=lambda _: None, cancel=threading.Event()
        )
        outcomes = committer.recover()
        committer.sweep_leftovers([self.root / "live" / name for name in self.texts("")])
        return outcomes

    @property
    def served(self) -> str:
        """`old` or `new`; both words where they are mixed."""
        first, second = self.nginx.get()[1].split()
        return first if first == second else f"{first} {second}"


def crashes(site: Site, done: Sequence[Operation]) -> list[tuple[State, str]]:
    """Return what a crash of this commit may leave on disk, and what nginx serves then."""
    disk, served = Disk.holding(site.state("old"), root=str(site.root)), "old"
    found: dict[tuple[State, str], None] = {}
    for operation in done:
        disk.apply(operation)
        if isinstance(operation, Ran) and operation.words[-2:] == ("-s", "reload"):
            served = "new"
        found |= dict.fromkeys((state, served) for state in disk.crashes(sample=random.Random(1)))
    return list(found)


@pytest.mark.torture
def test_nginx_serves_the_set_that_the_next_start_left_on_disk(
    make_nginx: Callable[..., Any],
    tmp_path: Path,
    require: Callable[[str], str],
    eventually: Callable[..., Any],
    torture: bool,
    figure: Callable[[str, object], None],
) -> None:
    site = Site(make_nginx(), tmp_path / "root", eventually)
    (tmp_path / "services.yaml").write_text("services: {}\n")
    command = [sys.executable, "-m", "crash.traced", "-once", "-catalog", f"file:{tmp_path}/services.yaml"]
    command += ["-state-dir", str(site.root / "state")]
    for name, text in site.texts("new").items():
        (tmp_path / name).write_text(text)
        command += ["-template", f"{tmp_path / name}:{site.root / 'live' / name}:{site.nginx.reload_command}"]
    env = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    log, binary = tmp_path / "strace", require("strace")
    possible = crashes(site, record(command, log=log, below=site.root, ignored=UNREAD, binary=binary, env=env))
    assert site.served == "new"

    journaled = [crash for crash in possible if any(path.endswith(".journal") for path, _ in crash[0])]
    chosen = random.Random(2).sample(journaled, min(15 if torture else 2, len(journaled)))
    chosen += random.Random(3).sample(possible, 20 - len(chosen) if torture else 1)
    for state, served in chosen:
        site.crash(state, served=served)
        outcomes = site.recover()
        expected = tuple(item for item in site.state(site.served) if not item[0].startswith(UNREAD))
        assert take(site.root, ignored=UNREAD) == expected
        assert not any(isinstance(outcome, Broken) for outcome in outcomes.values())
        proofs = {outcome.proof for outcome in outcomes.values() if isinstance(outcome, Committed)}
        assert proofs <= {Proof.NEW_WORKERS}
    figure("crash states recovered with a real nginx, each served as on disk, and proved", len(chosen))
