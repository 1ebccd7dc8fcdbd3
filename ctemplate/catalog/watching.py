"""Wakes whoever waits for a file when the file, or the way to it, may have changed. It reads no file.

A watch on a single file goes silent after an editor's second replacement, and one on a directory that is
removed and made again goes silent without an error. So what is watched are directories, and never for long:

- `leading.trail` lists every name that decides what a path means: each symbolic link on the way, and the file itself,
  or the first name that is missing. The directories of these names are watched; so the swap of a `..data` link,
  of a release link, and a directory that appears later are seen as what they are, a change of a name.
- A change of a name on the trail wakes its waiters. When it moved a trail, or a watched directory itself went,
  the watch is armed anew; and anyhow every `REREAD_SECONDS`.
- After arming, everybody is woken and told the file's stamp: what changed before the watch stood is found by reading
  what has another stamp than when it was read. This is also the periodic look that NFS and renamed parent directories
  need, and it costs five hundred templates that nobody touched no more than a look each. Where a name on the way
  changed, the file is read whatever its stamp: the way may lead out of the directories that may be read.

All state belongs to the event loop. What asks the file system runs in a thread: on a network file system it may hang.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from ctemplate.catalog import leading
from ctemplate.catalog.directories import CALM_SECONDS, Directories
from ctemplate.catalog.leading import Stamp
from ctemplate.events import Emit, Notice, Warned

REREAD_SECONDS = 60.0
ARM_DELAY_SECONDS = 1.0
"""Paths that are asked for together are armed together, and a run with `-once` over a thousand services ends before
what watches is imported: 20 ms of CPU, for which the first file would wait. What changes meanwhile is found once it
is armed."""
POLL_SECONDS = 5.0
"""The pace of reading where the kernel gives no watches, as when its limit of them is reached."""
EVERY_NAME = "*"
"""As the last name of a path: every name in that directory."""
_T = TypeVar("_T")


def _by_name(ways: Mapping[Path, tuple[Path, ...]]) -> dict[str, set[Path]]:
    """Return which paths a change of a name concerns."""
    concerned: dict[str, set[Path]] = {}
    for path, way in ways.items():
        for name in way:
            concerned.setdefault(str(name), set()).add(path)
    return concerned


class Subscription:
    """One waiter's interest in one path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.closed = False
        self.stamp: Stamp | None = None
        """The file's, where the waiter was woken for no more than a look; None: something was changed."""
        self.known: Stamp | None = None
        """That of a file of which its waiter wants to hear only what is new."""
        self._woken = asyncio.Event()

    def wake(self, stamp: Stamp | None = None) -> None:
        """Let the waiter look again, only if it has not read the file with this `stamp`."""
        if stamp is not None and stamp == self.known:
            return
        self.stamp = None if self._woken.is_set() else stamp
        self._woken.set()

    async def changed(self) -> bool:
        """Wait until the path may have to be read again: True; or until the watcher is closed: False."""
        await self._woken.wait()
        self._woken.clear()
        return not self.closed


class FileWatcher:
    """Every watched path of one catalog, behind one task that lives while somebody waits."""

    def __init__(self, *, emit: Emit) -> None:
        self._emit = emit
        self._subscriptions: set[Subscription] = set()
        self._lookout: _Lookout | None = None
        self._watching: asyncio.Task[None] | None = None
        self._arming: asyncio.TimerHandle | None = None
        self._polling = False

    @contextlib.contextmanager
    def subscribe(self, path: Path) -> Iterator[Subscription]:
        """Wake the subscription on every change of `path`, which is absolute, until the block is left."""
        subscription = Subscription(path)
        self._subscriptions.add(subscription)
        if self._arming is None and not (self._lookout and path in self._lookout.paths):
            self._arming = asyncio.get_running_loop().call_later(ARM_DELAY_SECONDS, self._arm)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            if not self._subscriptions:
                self._disarm()

    def close(self) -> None:
        """End every wait, and the task."""
        for subscription in self._subscriptions:
            subscription.closed = True
            subscription.wake()
        self._disarm()

    def _arm(self) -> None:
        self._disarm()
        paths = frozenset(subscription.path for subscription in self._subscriptions)
        self._lookout = _Lookout(paths, changed=self._wake, armed=self._tell_armed)
        self._watching = asyncio.create_task(self._lookout.run(), name="files")

    def _disarm(self) -> None:
        if self._arming is not None:
            self._arming.cancel()
            self._arming = None
        if self._watching is not None:
            self._watching.cancel()
            self._watching = self._lookout = None

    def _wake(self, stamps: Mapping[Path, Stamp | None]) -> None:
        for subscription in self._subscriptions:
            if subscription.path in stamps:
                subscription.wake(stamps[subscription.path])

    def _tell_armed(self, fault: str) -> None:
        if fault and not self._polling:
            self._emit(
                Warned(message=f"cannot watch files ({fault}): they are read again every {POLL_SECONDS:g} s instead")
            )
        elif self._polling and not fault:
            self._emit(Notice(message="files are watched again"))
        self._polling = bool(fault)


class _Lookout:
    """Waits for changes of fixed paths, and tells of them."""

    def __init__(
        self,
        paths: frozenset[Path],
        *,
        changed: Callable[[Mapping[Path, Stamp | None]], None],
        armed: Callable[[str], None],
    ) -> None:
        """`changed` is called with paths, each with the stamp that is to be read, None: whatever it is.

        `armed` is called with what keeps the kernel from watching, empty: it does.
        """
        self.paths = paths
        self._changed = changed
        self._armed = armed
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="files")

    async def run(self) -> None:
        """Arm and wait, until cancelled."""
        fault = ""
        try:
            while True:
                try:
                    if fault:
                        self._changed(await self._ask(lambda: _stamps(leading.trails(self.paths))))
                        fault = ""
                    await self._wait_armed()
                except Exception as error:  # a task that ended would leave files unwatched, and nobody would know
                    fault = f"{type(error).__name__}: {error}"
                    if isinstance(error, OSError):
                        fault += "; look at the limits under /proc/sys/fs/inotify"
                    self._armed(fault)
                    await asyncio.sleep(POLL_SECONDS)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _wait_armed(self) -> None:
        with contextlib.closing(Directories()) as watched:
            try:
                layout = await self._ask(_layout, self.paths)
                await self._ask(watched.add, layout.directories)
                self._armed("")
                self._changed(stamps := await self._ask(_stamps, layout.ways))
                if layout == await self._ask(_layout, self.paths):
                    young = any(found != leading.telling(found) for found in stamps.values())
                    await self._wait(watched, layout, young=young)
                    return
            except (FileNotFoundError, NotADirectoryError):
                pass
            await asyncio.sleep(CALM_SECONDS)  # a directory went, or a link was moved, meanwhile: look anew

    async def _wait(self, watched: Directories, layout: _Layout, *, young: bool) -> None:
        """Tell of changes until the watch has to be armed anew; `young`: what is read now may be written once more."""
        concerned = _by_name(layout.ways)
        until = time.monotonic() + REREAD_SECONDS
        due = min(time.monotonic() + leading.TICK_NANOSECONDS / 1e9, until) if young else until
        while (now := time.monotonic()) < until:
            if now >= due:
                due = until
                self._changed(await self._ask(_stamps, layout.ways))
            names = await watched.changes(due - now)
            if not names.isdisjoint(layout.directories):
                return
            every = {str(Path(name).with_name(EVERY_NAME)) for name in names}
            touched = {path for name in names | every for path in concerned.get(name, ())}
            if touched:
                self._changed(dict.fromkeys(touched))
            if touched and await self._ask(_layout, self.paths) != layout:
                return

    async def _ask(self, what: Callable[..., _T], *arguments: object) -> _T:
        """Ask the file system, in a thread of our own: where it hangs, nobody else waits."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, what, *arguments)


class _Layout(NamedTuple):
    """Where the watched paths lead, and what is watched for them."""

    ways: Mapping[Path, tuple[Path, ...]]
    directories: Mapping[str, tuple[int, int]]
    """Each with its device and inode: one that somebody stands in may be removed and made again without a word."""


def _layout(paths: Iterable[Path]) -> _Layout:
    ways = leading.trails(paths)
    directories = {name.parent for way in ways.values() for name in way}
    inodes = {str(path): (found.st_dev, found.st_ino) for path in directories for found in [path.stat()]}
    return _Layout(ways, inodes)


def _stamps(ways: Mapping[Path, tuple[Path, ...]]) -> dict[Path, Stamp | None]:
    return {path: leading.stamp(path, way) for path, way in ways.items()}
