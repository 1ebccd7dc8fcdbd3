"""A bench for commits: real files, real commands, and a process that can be killed in the middle of one."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ctemplate.changes import Command, Outcome, Plan
from ctemplate.commit.group import Committer
from ctemplate.commit.plan import make_plan
from ctemplate.events import Event
from ctemplate.model import Rendering
from ctemplate.settings import Template


@dataclass(kw_only=True)
class Bench:
    """A directory of destinations with a committer of its own."""

    root: Path
    group: str = "g"
    told: list[Event] = field(default_factory=list)
    cancel: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.live = self.root / "live"
        self.journals = self.root / "state" / "journal"
        self.rejected = self.root / "state" / "rejected"
        self.log = self.root / "log"
        self.live.mkdir(parents=True, exist_ok=True)
        self.committer = self.again()

    def again(self) -> Committer:
        """A committer as the next process would have it."""
        return Committer(
            journal_dir=self.journals, rejected_dir=self.rejected, emit=self.told.append, cancel=self.cancel
        )

    def template(self, name: str, *, command: str | Command | None = None, **options: Any) -> Template:
        if isinstance(command, str):
            command = Command(command)
        return Template(contents="", destination=self.live / name, command=command, **options)

    def plan(
        self,
        contents: dict[str, str],
        *,
        checks: Sequence[str | Command] = (),
        atomic: bool = False,
        **options: Any,
    ) -> Plan:
        """Plan these files; `options` are those of every template."""
        wanted = []
        for name, content in contents.items():
            template = self.template(name, **options)
            rendering = Rendering(
                template=template.name, content=content.encode(), reads=frozenset(), instances=0, left_out=()
            )
            wanted.append((template, rendering))
        commands = tuple(Command(check) if isinstance(check, str) else check for check in checks)
        return make_plan(self.group, wanted, checks=commands, atomic=atomic)

    def apply(self, contents: dict[str, str], **options: Any) -> dict[str, Outcome]:
        """Plan and commit; the outcomes by the name of the file."""
        return self.short(self.committer.apply(self.plan(contents, **options)))

    def recover(self) -> dict[str, Outcome]:
        """Start again and finish what is unfinished; the outcomes by the name of the file."""
        self.committer = self.again()
        outcomes = self.short(self.committer.recover())
        self.committer.sweep_leftovers(sorted(path for path in self.live.iterdir() if not path.name.startswith(".")))
        return outcomes

    def short(self, outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
        return {str(Path(name).relative_to(self.live)): outcome for name, outcome in outcomes.items()}

    def files(self) -> dict[str, str]:
        """Everything below the destinations, hidden files too."""
        found = sorted(path for path in self.live.rglob("*") if path.is_file())
        return {str(path.relative_to(self.live)): path.read_text(errors="replace") for path in found}

    def journal_files(self) -> list[str]:
        return sorted(path.name for path in self.journals.iterdir()) if self.journals.is_dir() else []

    def lines(self) -> list[str]:
        """What the commands wrote to the log."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def events(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(root=tmp_path)


@pytest.fixture
def in_child(tmp_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """`in_child(function, *words, prefix=())`: run `function(bench, *words)` in a process that may be killed.

    The function's source must stand by itself; it is given a bench on the same directories.
    """

    def run(function: Any, *words: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        program = (
            "import importlib.util, sys, pathlib\n"
            "def load(name, path):\n"
            "    spec = importlib.util.spec_from_file_location(name, path)\n"
            "    module = importlib.util.module_from_spec(spec)\n"
            "    sys.modules[name] = module\n"
            "    spec.loader.exec_module(module)\n"
            "    return module\n"
            "bench_module = load('commit_bench', sys.argv[1])\n"
            "tests = load('commit_tests', sys.argv[2])\n"
            "bench = bench_module.Bench(root=pathlib.Path(sys.argv[4]))\n"
            "getattr(tests, sys.argv[3])(bench, *sys.argv[5:])\n"
        )
        where = sys.modules[function.__module__].__file__
        argv = [*prefix, sys.executable, "-c", program, __file__, str(where), function.__name__, str(tmp_path), *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=50, check=False)

    yield run
