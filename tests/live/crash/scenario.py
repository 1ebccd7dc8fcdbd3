"""What is committed, how it is started, and what a recovery must have made of it.

BASE/root/live    the destinations           BASE/root/state    the state directory
BASE/log          what the reload command and the check saw of the destinations, a line each
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crash.disk import State
from crash.layout import lay_out

UNREAD = tuple(
    f"state/{name}"
    for name in ("lock", "status.json", ".status.json", "rejected", "requests", "last-good.json", ".last-good.json")
)
"""What a process keeps in its state directory for people and for others: no recovery reads it."""
_RELOADED, _CHECKED = "reloaded ", "checked "
"""The last word of a line in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A commit of some files."""

    name: str
    files: Mapping[str, str | None]
    """Below `live`: what is there before; None where there is no file. Afterwards each holds `new …`."""
    command: bool = True
    check: bool = False
    refused: bool = False
    """The check passes in the commit, and refuses whatever it sees in the recovery: then the old files are needed."""
    backup: bool = False
    first_start: bool = False
    """There is no state directory yet."""

    def new(self, path: str) -> str:
        """Return what the commit puts there."""
        return f"new {path} and some more of it\n"

    @property
    def old_set(self) -> str:
        """What a command sees of the files before the commit."""
        return _seen(self.files.values())

    @property
    def new_set(self) -> str:
        """What a command sees of them after it."""
        return _seen(self.new(path) for path in self.files)

    def before(self) -> State:
        """Return what the disk holds before the commit."""
        directories = {"live"} | (
            set() if self.first_start else {"state", "state/journal", "state/rejected", "state/requests"}
        )
        texts: dict[str, str] = {}
        for path, old in self.files.items():
            if old is not None:
                parents = list(Path("live", path).parents)[:-1]
                directories |= {str(parent) for parent in parents}
                texts[f"live/{path}"] = old
                if self.backup:
                    texts[f"live/{path}.bak"] = f"older {path}\n"
        nodes: dict[str, tuple[str, bytes] | None] = dict.fromkeys(directories)
        nodes |= {path: (path, text.encode()) for path, text in texts.items()}
        return tuple(sorted(nodes.items()))

    def prepare(self, base: Path) -> list[str]:
        """Lay out what is there before the commit; returns the arguments of the `ctemplate` that will commit."""
        base.mkdir(parents=True, exist_ok=True)
        lay_out(self.before(), root=base / "root")
        (base / "services.yaml").write_text("services: {}\n")
        for word in (_RELOADED, _CHECKED):
            (base / word.strip()).write_text(word.replace(" ", "\n"))
        lines = [f"catalog = {json.dumps(f'file:{base}/services.yaml')}"]
        for path in self.files:
            fields: dict[str, object] = {
                "contents": self.new(path),
                "destination": str(base / "root/live" / path),
                "backup": self.backup,
                "create_dirs": True,
            }
            if self.command:
                fields["command"] = self._look(base, _RELOADED)
            if self.check:
                fields["check"] = f"{self._look(base, _CHECKED)}; ! [ -e {base}/refuse ]"
            lines += ["[[template]]", *(f"{name} = {json.dumps(value)}" for name, value in fields.items())]
        (base / "ctemplate.toml").write_text("\n".join(lines) + "\n")
        return ["-once", "-config", str(base / "ctemplate.toml"), "-state-dir", str(base / "root/state")]

    def change_the_world(self, base: Path) -> None:
        """What is different by the time of the recovery."""
        if self.refused:
            (base / "refuse").touch()

    def destinations(self, base: Path) -> list[Path]:
        """Return the files."""
        return [base / "root/live" / path for path in self.files]

    def fault(self, after: State, *, log: Sequence[str], served: str | None, complaints: Sequence[str]) -> str:
        """Say what is wrong with what a recovery left; empty if nothing is.

        `served` is the set that the server had loaded at the crash; None if that cannot be known.
        """
        held = {path: node[1].decode(errors="replace") for path, node in after if node is not None}
        stands = _seen(held.pop(f"live/{path}", None) for path in self.files)
        if stands not in (self.old_set, self.new_set):
            return f"torn or mixed: {stands!r}"
        if self.backup:
            generation = "older" if stands == self.old_set else "old"
            for path in self.files:
                if held.pop(f"live/{path}.bak", None) != f"{generation} {path}\n":
                    return f"{path}.bak is not the generation before"
        if complaints:
            return f"complained: {complaints[0]}"
        if held or ("state/journal" in dict(after) and any(path.startswith("state/journal/") for path, _ in after)):
            return f"left behind: {sorted(held)}"
        return self._unserved(stands, log, served) if self.command else ""

    def _unserved(self, stands: str, log: Sequence[str], served: str | None) -> str:
        reloads = [line for line in log if line.endswith(_RELOADED)]
        loaded = reloads[-1].removesuffix(_RELOADED) if reloads else served
        if loaded != stands:
            return f"the server runs {loaded!r}, and on disk is {stands!r}"
        checked = f"{stands}{_CHECKED}"
        if self.check and reloads and stands == self.new_set and checked not in log[: log.index(reloads[-1])]:
            return "finished without a check"
        return ""

    def seen(self, state: State) -> str:
        """Return what a command sees of the files in this state."""
        held = {path: node[1].decode(errors="replace") for path, node in state if node is not None}
        return _seen(held.get(f"live/{path}") for path in self.files)

    def is_reload(self, words: Sequence[str]) -> bool:
        """Tell whether these are the words of the reload command."""
        return words[0] == "/bin/sh" and f"/{_RELOADED.strip()};" in words[-1]

    def _look(self, base: Path, word: str) -> str:
        files = " ".join(str(path) for path in (*self.destinations(base), base / word.strip()))
        # Builtins only: thousands of recoveries run it.
        lines = "while read -r line; do printf '%s ' \"$line\"; done"
        return f"for file in {files}; do {lines} < $file; done >> {base}/log 2> /dev/null; echo >> {base}/log"


def _seen(texts: object) -> str:
    assert not isinstance(texts, str)
    return "".join(text.replace("\n", " ") for text in texts if text is not None)  # type: ignore[attr-defined]


ONE = Scenario(name="one file", files={"a": "old a\n"})
SCENARIOS = (
    ONE,
    Scenario(name="one file without a command", files={"a": "old a\n"}, command=False),
    Scenario(name="one file with a check", files={"a": "old a\n"}, check=True),
    Scenario(name="one file whose check refuses by then", files={"a": "old a\n"}, check=True, refused=True),
    Scenario(name="a new file in a new directory", files={"x/y/a": None}),
    Scenario(name="one file with a backup", files={"a": "old a\n"}, backup=True),
    Scenario(name="two files at the first start", files={"a": "old a\n", "b": None}, first_start=True),
    Scenario(
        name="five files in three directories",
        files={"a": "old a\n", "x/b": "old x/b\n", "x/c": None, "y/d": "old y/d\n", "y/e": "old y/e\n"},
    ),
)
