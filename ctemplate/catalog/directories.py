"""Which names change in directories, as the kernel tells (inotify(7)). To wait for them costs nothing until it does.

The kernel tells of a directory by its inode, and of a change by the name within. It drops what nobody took in
time, and says so: then everything may have changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

CALM_SECONDS = 0.1
"""Changes are told once no more has come for so long: whoever publishes writes, syncs and renames, many files maybe."""
GATHER_SECONDS = 1.0
"""How long changes that do not stop are gathered."""


class Directories:
    """The kernel's watches on some directories, until they are closed. Used from one event loop, by one consumer."""

    def __init__(self) -> None:
        """Raises OSError at the kernel's limit of such objects, ImportError where Python was built without ctypes."""
        # Here, since it costs 20 ms that a run without watches does not have to pay.
        from inotify_simple import INotify, flags

        content = flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO | flags.MODIFY | flags.CLOSE_WRITE
        itself = flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR
        self._mask = int(content | itself | flags.ATTRIB)
        self._overflow = int(flags.Q_OVERFLOW)
        self._paths: dict[int, list[str]] = {}
        self._inotify = INotify(nonblocking=True)

    def add(self, paths: Iterable[str]) -> None:
        """Watch directories. Nothing is told of one that we may pass through and not read.

        Raises FileNotFoundError or NotADirectoryError where one is gone, another OSError at the kernel's limit.
        """
        for path in paths:
            try:
                watch = self._inotify.add_watch(path, self._mask)
            except PermissionError:
                continue
            self._paths.setdefault(watch, []).append(path)  # two that are mounted from one are one to the kernel

    def close(self) -> None:
        """Give the watches back."""
        self._inotify.close()

    async def changes(self, seconds: float) -> frozenset[str]:
        """Wait `seconds` at most, and return the paths of what changed: empty when nothing did.

        A directory's own path is among them when it went, was moved, or got other permissions, and when the kernel
        dropped what it had to tell.
        """
        if not await self._told(seconds):
            return frozenset()
        loop = asyncio.get_running_loop()
        until = loop.time() + GATHER_SECONDS
        found = self._take()
        while True:
            await asyncio.sleep(CALM_SECONDS)
            more = self._take()
            found |= more
            if not more or loop.time() >= until:
                return frozenset(found)

    async def _told(self, seconds: float) -> bool:
        """Whether the kernel has something to tell before the time is over."""
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._inotify.fileno(), told.set)
        try:
            async with asyncio.timeout(seconds):
                return await told.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._inotify.fileno())

    def _take(self) -> set[str]:
        found: set[str] = set()
        for event in self._inotify.read(timeout=0):
            if event.mask & self._overflow:
                return {path for paths in self._paths.values() for path in paths}
            for path in self._paths.get(event.wd, ()):
                found.add(f"{path.rstrip('/')}/{event.name}" if event.name else path)
        return found
