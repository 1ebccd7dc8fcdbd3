"""Runs a check where the staged files already stand at their destinations, and nowhere else.

In a private mount namespace a staged file is bind-mounted over its destination; a new file, which is
no target for a mount yet, appears through a read-only overlay of its directory. Nobody outside sees
any of it, so a configuration that was never checked is never live, not even for a millisecond (6 ms a
check, most of it in `mount`). Needs root or CAP_SYS_ADMIN, and `unshare` and `mount` of util-linux;
where that is not to be had, the transaction swaps first and tests then. Decides nothing on results.

Paths travel as arguments of the script, never inside its text. The layers of an overlay are named
relative to a directory of our own, with links to the live ones: no path has to be quoted for `mount`,
and an overlay over a directory that holds our own hides nothing that is still needed.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from ctemplate.changes import Command
from ctemplate.commit.command import Result, run
from ctemplate.commit.files import Entry
from ctemplate.commit.mounts import is_mounted_below

_SCRIPT = r"""
mark=$1 box=$2 here=$PWD
shift 2
give_up() { echo "$mark: $1"; exit 97; }
while [ "$1" != -- ]; do
  case $1 in
    box) mount -t tmpfs -o mode=0755 tmpfs "$box" && cd -- "$box" || give_up "no tmpfs at $box"; shift ;;
    layer) mkdir "new$2" && ln -s -- "$3" "live$2" || give_up "no room in $box"; shift 3 ;;
    new) cp -a -- "$3" "new$2/$4" || give_up "$3 cannot be copied"; shift 4 ;;
    over) mount -t overlay -o "ro,lowerdir=new$2:live$2" overlay "$3" || give_up "no overlay over $3"; shift 3 ;;
    seen) [ -e "$2" ] || give_up "$2 does not appear"; shift 2 ;;
    file) mount --bind -- "$2" "$3" && [ "$2" -ef "$3" ] || give_up "$3 cannot be mounted over"; shift 3 ;;
  esac
done
shift
cd -- "$here" || give_up "$here is gone"
exec "$@"
"""
_PROBE_SECONDS = 5.0
_PROBES = "one", "other"
"""The files that are mounted on each other to see whether that is permitted."""
NO_VERDICT = (126, 127)
"""A shell's codes for a program that it cannot run: they say nothing on what the program would say."""


class NoNamespace(Exception):
    """These files cannot be shown to a check in a namespace; the check did not run. Says why."""


class Sandbox:
    """Private mount namespaces, if this machine permits them: tried once, when first asked."""

    def __init__(self, directory: Path) -> None:
        """`directory` is where an empty directory to mount on may be made: the state directory."""
        self._directory = directory
        self._lock = threading.Lock()
        self._verdict: str | None = None

    @property
    def refusal(self) -> str:
        """Why this machine permits no private mount namespace; empty if it does."""
        with self._lock:
            if self._verdict is not None:
                return self._verdict
            reason, final = self._probe()
            if final:
                self._verdict = reason
            return reason

    def run(self, check: Command, entries: Sequence[Entry], *, cancel: threading.Event | None = None) -> Result:
        """Run the check with every staged file at its destination. Raises `NoNamespace`, or `OSError`."""
        if self.refusal:
            raise NoNamespace(self.refusal)
        mark = f"ctemplate-{secrets.token_hex(8)}"
        with tempfile.TemporaryDirectory(prefix="check-", dir=self._directory) as box:
            prefix = (*_prefix(), mark, box, *_layout(entries), "--")
            result = run(check, cancel=cancel, prefix=prefix)
        if result.code == 97 and mark in result.output:
            raise NoNamespace(result.output.replace(f"{mark}: ", "").replace("\n", "; "))
        return result

    def _probe(self) -> tuple[str, bool]:
        """Return why not, and whether that is the machine's last word rather than a full disk's or table's."""
        try:
            prefix = _prefix()
        except NoNamespace as error:
            return str(error), True
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="check-", dir=self._directory) as box:
                one, other = (Path(box, name) for name in _PROBES)
                one.touch()
                other.touch()
                words = (*prefix, "ctemplate-probe", box, "file", str(one), str(other), "--")
                result = run(Command(("true",), timeout=_PROBE_SECONDS), prefix=words)
        except OSError as error:
            return str(error), False
        if result.code == 0:
            return "", True
        return result.output.replace("\n", "; ") or result.reason, result.code not in (None, *NO_VERDICT)


def sweep(directory: Path) -> None:
    """Remove the directories that killed checks left: what was mounted there is gone with its namespace."""
    for box in directory.glob("check-*"):
        with contextlib.suppress(OSError):
            for name in _PROBES:
                (box / name).unlink(missing_ok=True)
            box.rmdir()


def _prefix() -> tuple[str, ...]:
    unshare = shutil.which("unshare") or shutil.which("unshare", path="/usr/bin:/bin:/usr/sbin:/sbin")
    if unshare is None:
        raise NoNamespace("there is no unshare command (util-linux)")
    return unshare, "-m", "--propagation", "private", "/bin/sh", "-c", _SCRIPT, "sh"


def _layout(entries: Sequence[Entry]) -> list[str]:
    """Return what to mount, as the script's words: all layers, then overlays, the outer ones first, then files.

    Raises `NoNamespace` where an overlay would hide something that is mounted below its directory.
    """
    new: dict[Path, list[Entry]] = {}
    for entry in entries:
        if entry.old is None:
            new.setdefault(entry.directory, []).append(entry)
    words: list[str] = ["box"] if new else []
    overlays: list[str] = []
    for number, directory in enumerate(sorted(new, key=lambda path: len(path.parts))):
        if is_mounted_below(directory):
            raise NoNamespace(f"something is mounted below {directory}, and a new file needs an overlay of it")
        words += ["layer", str(number), str(directory)]
        for entry in new[directory]:
            words += ["new", str(number), entry.staged, Path(entry.destination).name]
        overlays += ["over", str(number), str(directory)]
    words += overlays
    for entry in entries:
        if entry.old is None:
            words += ["seen", entry.destination]
        else:
            words += ["file", entry.staged, entry.destination]
    return words
