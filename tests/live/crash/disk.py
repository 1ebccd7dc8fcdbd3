"""A disk that owes nothing that was not synced.

    an entry of a directory   made, renamed or removed: lost or kept, each for itself and in any order,
                              until its directory is synced; a rename's two halves go together
    the bytes of a file       lost, torn in the middle, zeros at their length, or whole, until it is synced;
                              a synced file whose entry is not synced may have no name
    what was there before     is safe

Modes and owners are not modelled: they are set before the one sync that a file gets.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from crash.recording import Link, MakeDirectory, Open, Operation, Remove, Rename, Sync, Write

State = tuple[tuple[str, tuple[str, bytes] | None], ...]
"""What a tree holds, sorted by path: None for a directory; for a file the first of its names, and its bytes."""

EXHAUSTIVE = 12
"""So many entries that are not synced are tried in every combination (4,096); of more, those of one and of all
but one, all prefixes, and a sample."""
_SAMPLE = 2_000
_ROOT = 0


@dataclass(slots=True)
class _Inode:
    directory: bool
    synced: bytes = b""
    current: bytes = b""

    @property
    def dirty(self) -> bool:
        return self.synced != self.current

    def may_hold(self) -> Iterator[bytes]:
        """Yield what may be read after a crash."""
        yield self.current
        if self.dirty:
            kept = self.synced if self.current.startswith(self.synced) else b""
            yield self.synced
            yield self.current[: (len(kept) + len(self.current)) // 2]
            yield kept + bytes(len(self.current) - len(kept))


Entry = tuple[int, str]
"""A directory's inode and a name in it."""


@dataclass(slots=True)
class Disk:
    """One directory tree: as processes see it, and as it may be found after a crash."""

    root: str
    _inodes: list[_Inode] = field(default_factory=lambda: [_Inode(directory=True)])
    _live: dict[Entry, int] = field(default_factory=dict)
    _durable: dict[Entry, int] = field(default_factory=dict)
    _pending: list[dict[Entry, int | None]] = field(default_factory=list)
    """Changes of entries, oldest first, that are not synced; None: it is gone."""

    @classmethod
    def holding(cls, state: State, *, root: str) -> Disk:
        """Return a disk that safely holds what a state says."""
        disk = cls(root)
        numbers: dict[str, int] = {}
        for path, node in state:
            if node is None:
                disk._set(path, disk._add(_Inode(directory=True)))
            else:
                first, content = node
                if first not in numbers:
                    numbers[first] = disk._add(_Inode(directory=False, synced=content, current=content))
                disk._set(path, numbers[first])
        disk._durable, disk._pending = dict(disk._live), []
        return disk

    def apply(self, operation: Operation) -> None:  # noqa: C901 - one case an operation
        """Take one operation into account."""
        match operation:
            case Open(path, create, truncate):
                if self._find(path) is None and create:
                    self._set(path, self._add(_Inode(directory=False)))
                elif truncate:
                    self._file(path).current = b""
            case Write(path, data):
                self._file(path).current += data
            case Rename(source, target):
                one, other = self._find(source), self._find(target)
                if one != other:  # between two names of one file rename does nothing
                    self._change({self._entry(target): one, self._entry(source): None})
            case Link(source, target):
                self._set(target, self._find(source))
            case Remove(path):
                self._set(path, None)
            case MakeDirectory(path):
                self._set(path, self._add(_Inode(directory=True)))
            case Sync(path):
                self._sync(path)

    def now(self) -> State:
        """Return what processes see."""
        return self._state(self._live, {})

    def crashes(self, *, sample: random.Random) -> Iterator[State]:
        """Yield every state that a crash at this moment may leave; of very many entries a sample."""
        for chosen in self._subsets(len(self._pending), sample):
            entries = dict(self._durable)
            for change, kept in zip(self._pending, chosen, strict=True):
                if kept:
                    _merge(entries, change)
            dirty = sorted({inode for inode in entries.values() if self._inodes[inode].dirty})
            for contents in itertools.product(*(self._inodes[inode].may_hold() for inode in dirty)):
                yield self._state(entries, dict(zip(dirty, contents, strict=True)))

    @staticmethod
    def _subsets(count: int, sample: random.Random) -> Iterator[Sequence[bool]]:
        if count <= EXHAUSTIVE:
            yield from itertools.product((False, True), repeat=count)
            return
        places = range(count)
        yield from ([place < end for place in places] for end in range(count + 1))
        yield from ([place == one for place in places] for one in places)
        yield from ([place != one for place in places] for one in places)
        yield from ([sample.random() < 0.5 for _ in places] for _ in range(_SAMPLE))

    def _sync(self, path: str) -> None:
        number = self._find(path)
        assert number is not None, path
        inode = self._inodes[number]
        inode.synced = inode.current
        if inode.directory:
            for change in [change for change in self._pending if any(parent == number for parent, _ in change)]:
                _merge(self._durable, change)
                self._pending.remove(change)

    def _state(self, entries: Mapping[Entry, int], contents: Mapping[int, bytes]) -> State:
        """Walk from the root: what has no name any more, or whose directory has none, is not there."""
        children: dict[int, list[tuple[str, int]]] = {}
        for (parent, name), inode in entries.items():
            children.setdefault(parent, []).append((name, inode))
        found: list[tuple[str, int]] = []

        def walk(number: int, prefix: str) -> None:
            for name, child in children.get(number, ()):
                found.append((prefix + name, child))
                walk(child, f"{prefix}{name}/")

        walk(_ROOT, "")
        first: dict[int, str] = {}
        state: list[tuple[str, tuple[str, bytes] | None]] = []
        for path, number in sorted(found):
            found_there = self._inodes[number]
            content = contents.get(number, found_there.current)
            name = first.setdefault(number, path)
            state.append((path, None if found_there.directory else (name, content)))
        return tuple(state)

    def _add(self, inode: _Inode) -> int:
        self._inodes.append(inode)
        return len(self._inodes) - 1

    def _file(self, path: str) -> _Inode:
        number = self._find(path)
        assert number is not None, path
        return self._inodes[number]

    def _entry(self, path: str) -> Entry:
        parent, _, name = path.rpartition("/")
        number = self._find(parent)
        assert number is not None, path
        return number, name

    def _find(self, path: str) -> int | None:
        """Return the inode that a path leads to; relative paths are below the root."""
        relative = path.removeprefix(self.root).strip("/")
        number: int | None = _ROOT
        for name in relative.split("/") if relative else ():
            number = None if number is None else self._live.get((number, name))
        return number

    def _set(self, path: str, inode: int | None) -> None:
        self._change({self._entry(path): inode})

    def _change(self, change: dict[Entry, int | None]) -> None:
        self._pending.append(change)
        _merge(self._live, change)


def _merge(entries: dict[Entry, int], change: Mapping[Entry, int | None]) -> None:
    for entry, inode in change.items():
        if inode is None:
            entries.pop(entry, None)
        else:
            entries[entry] = inode
