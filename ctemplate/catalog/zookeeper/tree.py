"""Everything at and below one node, kept true by ZooKeeper's one-shot watches.

Each node is read with a watch, and a watch that fires has just this node read again. That is exact for as long as one
session lasts: a watch is set by the read itself, fires once, and comes before any answer that is newer. What a lost
connection dropped is never guessed at: the tree ends, and the next begins from nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Mapping
from typing import TypeAlias

import msgspec

from ctemplate.catalog.zookeeper.session import Session, Wake
from ctemplate.errors import Unavailable

REREAD_SECONDS = 300.0
"""Everything again, whatever the watches say."""
TOGETHER = 500
"""How many nodes are asked for at once; a server bounds what waits at it to 1,000."""

Nodes: TypeAlias = Mapping[str, bytes]
"""What nodes hold, by their path below the root: "" is the root itself. Only at the depths that were asked for."""


class _Node(msgspec.Struct):
    data: bytes
    children: list[str]


class Tree:
    """The nodes at and below `root`, `depth` levels deep; what a node holds is read from level `data_from` on."""

    def __init__(self, session: Session, root: str, *, depth: int, data_from: int = 0) -> None:
        self._session = session
        self._root = root
        self._depth = depth
        self._data_from = data_from
        self._nodes: dict[str, _Node] = {}
        """By path below the root, which begins with a slash but for the root's own."""
        self._stale = {""}
        self._woken = asyncio.Event()

    async def read(self) -> Nodes | None:
        """Return all of it as it is now, complete; None where there is no root. Sets no watch.

        Raises `Unavailable` or `Refused`, of whatever node: what was read besides is nothing then.
        """
        await self._refresh(watch=False)
        return self._all()

    async def follow(self) -> AsyncGenerator[Nodes | None, None]:
        """Yield the same now and after every change. Raises `Unavailable` when the connection is lost."""
        number = self._session.number
        with self._session.told_of_loss(self._woken):
            while True:
                self._woken.clear()
                await self._refresh(watch=True)
                if self._session.number != number:
                    raise Unavailable(f"{self._session.where}: the connection was lost")
                if not self._stale:
                    yield self._all()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(REREAD_SECONDS * random.uniform(0.9, 1.1)):  # noqa: S311  # no secret
                        await self._woken.wait()
                        continue
                self._stale = {"", *self._nodes}

    def _all(self) -> Nodes | None:
        if "" not in self._nodes:
            return None
        return {
            path: node.data
            for path, node in self._nodes.items()
            if path.count("/") >= self._data_from and not (node.children and not node.data)
        }

    def _wake(self, path: str) -> None:
        self._stale.add(path.removeprefix(self._root.rstrip("/")).rstrip("/"))
        self._woken.set()

    async def _refresh(self, *, watch: bool) -> None:
        """Read what is stale, and what turns out to be new below it, until nothing is."""
        wake = self._wake if watch else None
        while self._stale:
            stale, self._stale = sorted(self._stale), set()
            # A node that went meanwhile is asked for no more: its parent's watch told of that.
            asked = [path for path in stale if path == "" or self._is_known(path)]
            for start in range(0, len(asked), TOGETHER):
                await self._read(asked[start : start + TOGETHER], wake)

    async def _read(self, paths: list[str], wake: Wake | None) -> None:
        listed = [path for path in paths if path.count("/") < self._depth]
        held = [path for path in paths if path.count("/") >= self._data_from]
        children = dict(zip(listed, await self._session.children([*map(self._full, listed)], wake), strict=True))
        data = dict(zip(held, await self._session.data([*map(self._full, held)], wake), strict=True))
        for path in paths:
            names, value = children.get(path, []), data.get(path, b"")
            here = names is not None and value is not None
            self._take(path, _Node(value or b"", names or []) if here else None)
            # No other question leaves a watch on a node that is not there; it may have come just now.
            if path == "" and not here and await self._session.exists(self._full(""), wake):
                self._stale.add("")

    def _full(self, path: str) -> str:
        return (self._root.rstrip("/") + path) or "/"

    def _is_known(self, path: str) -> bool:
        parent, _, name = path.rpartition("/")
        return parent in self._nodes and name in self._nodes[parent].children

    def _take(self, path: str, node: _Node | None) -> None:
        before = self._nodes.pop(path, None)
        kept = set(node.children) if node else set()
        for name in set(before.children if before else ()) - kept:
            self._drop(f"{path}/{name}")
        if node is not None:
            self._nodes[path] = node
            self._stale |= {f"{path}/{name}" for name in kept if f"{path}/{name}" not in self._nodes}

    def _drop(self, path: str) -> None:
        node = self._nodes.pop(path, None)
        for name in node.children if node else ():
            self._drop(f"{path}/{name}")
