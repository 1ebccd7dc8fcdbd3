"""Removes at start what interrupted commits left beside destinations, save what is still needed.

A staged file is worth nothing without its commit. A kept old file is needed as long as a journal
speaks of it, or a journal that nobody can read is set aside for a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ctemplate.commit import files
from ctemplate.commit.journal import DamagedJournal, Journals
from ctemplate.commit.reading import read
from ctemplate.events import Emit, Warned


def sweep(destinations: Iterable[Path], *, journals: Journals, emit: Emit) -> None:
    """Remove what is left beside these destinations and is needed by nothing; faults are only said."""
    try:
        journals.settle()
    except OSError as error:
        emit(Warned(message=f"leftovers of commits stay, because {journals.directory} cannot be synced: {error}"))
        return
    kinds = ("new", "bak") if journals.any_set_aside() else ("new", "old", "bak")
    spoken_of: set[Path] = set()
    for path in journals.paths():
        try:
            entries = journals.load(path).entries
        except (DamagedJournal, OSError):
            return  # it may speak of any of them
        spoken_of |= {Path(name) for entry in entries for name in (entry.staged, entry.kept)}
    for destination in destinations:
        try:
            target = destination.resolve()
            for leftover in files.leftovers(target, kinds=kinds):
                if leftover not in spoken_of:
                    _remove(leftover, beside=target, emit=emit)
        except (OSError, RuntimeError) as error:
            emit(Warned(message=f"leftovers beside {destination} cannot be removed: {error}"))


def _remove(leftover: Path, *, beside: Path, emit: Emit) -> None:
    """Remove one; an old file that differs from what stands now is worth a word."""
    if leftover.name.endswith("-old") and read(leftover) != read(beside):
        emit(
            Warned(
                message=f"{leftover} was left by a commit of {beside} that no journal speaks of, and is removed: "
                "if the state directory was lost, what is running may be older than the file, so reload it by hand"
            )
        )
    leftover.unlink(missing_ok=True)
