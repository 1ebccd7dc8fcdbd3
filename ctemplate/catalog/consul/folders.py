"""Many keys by one `?recurse` poll a top folder. Each watch sees only its own key, or its own prefix."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from urllib.parse import quote

import msgspec

from ctemplate.catalog.consul import records
from ctemplate.catalog.consul.arranging import folder_of
from ctemplate.catalog.consul.client import Client
from ctemplate.catalog.consul.node_reads import shaped
from ctemplate.catalog.consul.polling import parked
from ctemplate.catalog.ending import Ending
from ctemplate.errors import Refused
from ctemplate.model import Answer, Kind, Query


class Folder(msgspec.Struct):
    """What is below one top folder, and who waits for the next reply."""

    task: asyncio.Task[None] | None = None
    followers: int = 0
    pairs: dict[str, bytes | None] | None = None
    """Full key → value; None: nothing is known yet."""
    turned: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    """Replaced with each reply, after waking whoever waits."""
    ended: Ending | None = None


class Folders:
    """The polls of one catalog, each begun with its first watch and ended with its last."""

    def __init__(self, client: Client, *, max_stale: float) -> None:
        self._client = client
        self._max_stale = max_stale
        self._folders: dict[tuple[str, str], Folder] = {}

    async def follow(self, query: Query) -> AsyncGenerator[Answer, None]:
        """Yield the answer to a query for a key or prefix, and again with each reply. Raises what the poll raised."""
        key = query.dc, folder_of(query)
        folder = self._folders.get(key)
        if folder is None or folder.ended is not None:
            folder = self._folders[key] = Folder()
            folder.task = asyncio.create_task(self._poll(folder, *key), name=f"folder {key[1]}")
        folder.followers += 1
        answer: Answer | None = None
        try:
            while True:
                if folder.ended is not None:
                    raise folder.ended.again()
                turned = folder.turned
                if folder.pairs is not None:
                    new = _answer(query, folder.pairs)
                    answer = answer if new == answer else new
                    yield answer if answer is not None else new
                if not turned.is_set():
                    await turned.wait()
        finally:
            folder.followers -= 1
            if not folder.followers and folder.task is not None:
                folder.task.cancel()
                if self._folders.get(key) is folder:
                    del self._folders[key]

    async def _poll(self, folder: Folder, dc: str, prefix: str) -> None:
        params = {"recurse": ""} | ({"dc": dc} if dc else {})
        path = f"/v1/kv/{quote(prefix, safe='/')}"
        rule = f'key_prefix "{prefix}" {{ policy = "read" }}'
        last: bytes | None = None
        try:
            async for reply in parked(self._client, path, params, rule=rule, max_stale=self._max_stale):
                if reply.headers.get("x-consul-results-filtered-by-acls") == "true":
                    raise Refused(f"{path}: Consul left keys out that the token may not see; it needs {rule}")  # noqa: TRY301
                body = b"[]" if reply.status == 404 else reply.body
                if body != last:
                    with shaped(reply):
                        folder.pairs = records.pairs(body)
                    last = body
                self._turn(folder)
        except Exception as fault:  # whatever it is, whoever follows must hear of it
            folder.ended = Ending(fault)
            self._turn(folder)

    def _turn(self, folder: Folder) -> None:
        turned, folder.turned = folder.turned, asyncio.Event()
        turned.set()

    async def aclose(self) -> None:
        """End every poll."""
        tasks = [folder.task for folder in self._folders.values() if folder.task is not None]
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


def _answer(query: Query, pairs: dict[str, bytes | None]) -> Answer:
    if query.kind is Kind.KEYS:
        return records.below(query.name.strip("/") + "/", pairs)
    key = query.name.lstrip("/")
    if key not in pairs:
        return Answer(None)
    try:
        return Answer((pairs[key] or b"").decode())
    except UnicodeDecodeError:
        raise Refused(f"{query}: its value is not UTF-8 text, which no template can print") from None
