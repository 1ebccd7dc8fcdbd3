"""ZooKeeper behind the catalog seam: which nodes answer which query, and when a node that is not there means nothing.

In ZooKeeper a path that is missing is an answer, and often a wrong one: a server that came back empty has none, and
Curator deletes a service's own node with its last instance. So a missing node is empty only where that follows from
something else that was read: for a service, that it was there before and that the node above it still is; for a key,
that the base is there.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterator

from ctemplate.catalog.asking import refuse_options
from ctemplate.catalog.layout import Layout
from ctemplate.catalog.zookeeper.session import Session
from ctemplate.catalog.zookeeper.tree import Nodes, Tree
from ctemplate.errors import CatalogError, Refused, Unavailable
from ctemplate.model import Answer, BadRecord, KeyValue, Kind, Query

KEYS_DEPTH_MAX = 32
"""Levels below the folder of `ls` and `tree`."""


class ZooKeeperCatalog:
    """Services and nodes below one base.

    `services` is where a service's instances are: a path with `{service}` in it.
    """

    def __init__(self, session: Session, *, layout: Layout, services: str, absent_is_empty: bool) -> None:
        self._session = session
        self._layout = layout
        self._above, _, self._below = services.partition("{service}")
        self._absent_is_empty = absent_is_empty
        self._seen: set[str] = set()
        """The paths of services that were there."""
        self._raised: dict[Query, str] = {}
        """What the last watch of a query raised: opened anew, it waits for the server instead of saying it again."""

    async def watch(self, query: Query) -> AsyncGenerator[Answer, None]:
        """See `Catalog.watch`."""
        quiet = self._raised.pop(query, "")
        try:
            if quiet:
                await self._session.up()
                await self._session.login()
            async with contextlib.aclosing(self._tree(query).follow()) as readings:
                async for nodes in readings:
                    try:
                        answer = await self._answer(query, nodes)
                    except Unavailable as fault:
                        # The tree waits for the node, and so do we, without asking again and again.
                        if str(fault) != quiet:
                            raise
                        continue
                    quiet = ""
                    yield answer
        except CatalogError as fault:
            self._raised[query] = str(fault)
            raise

    async def confirm(self, query: Query) -> Answer:
        """Let the server catch up with the leader, and read then."""
        tree = self._tree(query)
        await self._session.sync()
        return await self._answer(query, await tree.read())

    async def aclose(self) -> None:
        """See `Catalog.aclose`."""
        await self._session.aclose()

    def describe(self) -> str:
        """The hosts and the base."""
        return self._session.where

    def connections(self) -> int:
        """One session for all watches."""
        return int(self._session.connected)

    def _tree(self, query: Query) -> Tree:
        """Return how to read what answers `query`. Raises `Refused` for what ZooKeeper has no notion of."""
        refuse_options(query, "dc", "near", "filter", by="ZooKeeper")
        match query.kind:
            case Kind.SERVICE:
                return Tree(self._session, self._path(query), depth=1, data_from=1)
            case Kind.SERVICES:
                depth = 2 + self._below.count("/")
                return Tree(self._session, self._above.rstrip("/") or "/", depth=depth, data_from=depth)
            case Kind.KEY:
                return Tree(self._session, self._path(query), depth=0)
            case Kind.KEYS:
                return Tree(self._session, self._path(query), depth=KEYS_DEPTH_MAX)
            case _:
                raise Refused(f"{query}: ZooKeeper has no {query.kind}")

    def _path(self, query: Query) -> str:
        parts = [part for part in query.name.split("/") if part]
        if (query.kind is Kind.SERVICE and len(parts) != 1) or (query.kind is Kind.KEY and not parts):
            raise Refused(f"{query} names no {query.kind}")
        if not {".", ".."}.isdisjoint(parts):
            raise Refused(f"{query}: a path cannot hold . or ..")
        return f"{self._above}{parts[0]}{self._below}" if query.kind is Kind.SERVICE else "/" + "/".join(parts)

    async def _answer(self, query: Query, nodes: Nodes | None) -> Answer:
        if nodes is None:
            return await self._absent(query)
        match query.kind:
            case Kind.SERVICE:
                self._seen.add(query.name)
                return self._layout((query.name + path, data) for path, data in nodes.items()).service(query.name)
            case Kind.SERVICES:
                return self._layout(self._members(nodes)).services()
            case Kind.KEY:
                return Answer(_text(nodes[""], query))
            case _:
                return _folder(nodes)

    def _members(self, nodes: Nodes) -> Iterator[tuple[str, bytes]]:
        """Return the instances of every service, their paths as of one service alone."""
        for path, data in nodes.items():
            name, _, rest = path[1:].partition("/")
            folder, _, child = f"/{rest}".rpartition("/")
            if folder == self._below:
                yield f"{name}/{child}", data

    async def _absent(self, query: Query) -> Answer:
        """Answer where there is no node, if that says anything. Raises `Unavailable` if it does not."""
        if query.kind is Kind.SERVICES:
            raise Unavailable(f"{self._session.where}: {self._above} does not exist; the last answer is kept")
        path = self._path(query)
        above = (path.rpartition("/")[0] or "/") if query.kind is Kind.SERVICE else "/"
        if (await self._session.children([above]))[0] is None:
            raise Unavailable(
                f"{self._session.where}: neither {path} nor {above} exists: is the base right, or did the server come"
                " back empty? The last answer is kept"
            )
        if query.kind is Kind.KEY:
            return Answer(None)
        if query.kind is Kind.SERVICE and query.name not in self._seen and not self._absent_is_empty:
            raise Unavailable(
                f"{self._session.where}: {path} does not exist and never did since the start, so nothing is known of"
                f" {query.name}; it is waited for (absent_is_empty = true takes it for a service without instances)"
            )
        return Answer(())


def _text(data: bytes, query: Query) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refused(f"{query}: its value is not UTF-8 text, which no template can print") from None


def _folder(nodes: Nodes) -> Answer:
    found: list[KeyValue] = []
    bad: list[BadRecord] = []
    for path, data in sorted(nodes.items()):
        if not path:
            continue
        try:
            found.append(KeyValue(path[1:], data.decode()))
        except UnicodeDecodeError:
            bad.append(BadRecord(path[1:], "", "", "value is not UTF-8 text"))
    return Answer(tuple(found), tuple(bad))
