"""etcd's JSON gateway, asked: whole ranges, a stream that says when to read again, and the token that both need.

What etcd does that makes this more than two requests:

- A read goes through the cluster's majority; only so is it the truth. Without one it is 503 after 7 s.
- A watch that may not be is HTTP 200, `created` *and* `canceled`, and stays open, silent; so does one whose place
  was compacted. A watch on a member that lost its cluster is silent too, unless `hasleader` is asked for.
- An open watch outlives the end of its token and the loss of its right; the reads that follow at an interval do not.
- A member that is stopped writes an error as its last line, 3.4 without a line end.
- Events may be lost, doubled or out of order before 3.4.31 and 3.5.13. So they wake, and say nothing else.

It knows no templates, layouts or retries.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec

from ctemplate.catalog.credentials import Credentials
from ctemplate.catalog.etcd import gateway
from ctemplate.catalog.etcd.gateway import PAGE_KEYS, Fault, Header, Pair, Span
from ctemplate.catalog.etcd.lines import read_line, split_lines
from ctemplate.catalog.http import Reply
from ctemplate.catalog.peers import Peers
from ctemplate.errors import CatalogError, Refused, Unavailable
from ctemplate.events import Emit, Warned

READ_SECONDS = 10.0
"""etcd itself gives up on a majority after 7 s (measured), and says so."""
SILENCE_SECONDS = 660.0
"""An idle watch has a progress notification every 10 minutes: one that is silent longer is dead."""

_INVALID, _DENIED, _UNAUTHENTICATED, _NOT_ENABLED = 3, 7, 16, 9
"""gRPC's codes, as the gateway passes them on."""


class Client:
    """One etcd cluster, by its members."""

    def __init__(self, peers: Peers, *, credentials: Credentials | None, emit: Emit) -> None:
        self.peers = peers
        self._credentials = credentials
        self._emit = emit
        self._token = ""
        self._seen = Header()
        """The cluster that answered last, and the highest revision it was at."""
        self.stores = 1
        """How many were met: another cluster is one more, and so is the same one that went back in time."""

    async def read(self, span: Span) -> tuple[list[Pair], int]:
        """Return every key of `span` at one moment, sorted, and the revision of the store at that moment.

        Raises `Unavailable` or `Refused`, never returns a part.
        """
        floor = self._seen
        page = await self._page(span)
        self._compare(floor, page.header)
        found, revision = page.kvs, page.header.revision
        while page.more:
            if not page.kvs:
                raise Unavailable(f"{self.peers.describe()}: a page without keys says that more follow")
            page = await self._page(span, after=page.kvs[-1].key, revision=revision)
            found += page.kvs
        return found, revision

    async def read_since(self, span: Span, revision: int) -> gateway.Page:
        """Return what of `span` was modified after `revision`, or the first page of it. Raises as `read`."""
        floor = self._seen
        page = await self._page(span, since=revision)
        self._compare(floor, page.header)
        return page

    async def change(self, target: str, body: bytes) -> Reply:
        """Ask what changes something: a put, a delete, a lease. Raises `Unavailable` or `Refused`."""
        return await self._ask(target, body, None)

    async def listen(self, span: Span) -> AsyncGenerator[None, None]:
        """Yield once when changes of `span` are listened to, and at each of them. Raises when it hears no longer."""
        headers = [*await self._headers(), ("Grpc-Metadata-hasleader", "true")]
        body = gateway.watch_request(span)
        async with self.peers.stream("/v3/watch", headers, timeout=READ_SECONDS, method="POST", body=body) as (
            head,
            chunks,
        ):
            if head.status != 200:
                raise self._fault(Reply(head.endpoint, head.status, head.headers, await _rest(chunks)), span)
            where, silence = f"{head.endpoint}/v3/watch", READ_SECONDS
            async with contextlib.aclosing(split_lines(chunks, silence=lambda: silence)) as lines:
                async for line in lines:
                    said = read_line(line, where)
                    if said.canceled or said.compact_revision:
                        await self._explain(span)
                        raise Unavailable(f"{where}: canceled: {said.cancel_reason or 'its place was compacted'}")
                    if said.created or said.events:
                        silence = SILENCE_SECONDS
                        yield

    async def _explain(self, span: Span) -> None:
        """Raise why a watch was canceled, if a read says so too: its token is no longer good, a right is missing."""
        self._token = ""
        await self._page(span, limit=1)

    async def _page(
        self, span: Span, *, after: bytes = b"", revision: int = 0, since: int = 0, limit: int = 0
    ) -> gateway.Page:
        body = gateway.range_request(span, after=after, revision=revision, since=since, limit=limit or PAGE_KEYS)
        reply = await self._ask("/v3/kv/range", body, span)
        try:
            return gateway.PAGE.decode(reply.body)
        except msgspec.DecodeError as fault:
            self.peers.turn_away()
            raise Unavailable(f"{reply.endpoint}/v3/kv/range: the answer is no range ({fault})") from fault

    async def _ask(self, target: str, body: bytes, span: Span | None) -> Reply:
        """Ask, and once more with a new token where the one we have is no longer good."""
        reply = await self._post(target, body, await self._headers())
        if _wants_token(reply) and self._credentials is not None:
            self._token = ""
            reply = await self._post(target, body, await self._headers())
        if reply.status != 200:
            raise self._fault(reply, span)
        return reply

    async def _headers(self) -> list[tuple[str, str]]:
        """Authenticate where that is still to be done. The token goes as it is: `Bearer` is refused."""
        if self._credentials is None:
            return []
        if not self._token:
            password = await asyncio.to_thread(self._credentials.current)
            request = gateway.authenticate_request(self._credentials.user, password)
            reply = await self._post("/v3/auth/authenticate", request, [])
            if reply.status != 200:
                fault = _decode_fault(reply)
                if fault.code == _NOT_ENABLED:
                    return []
                if fault.code == _INVALID:
                    raise Refused(
                        f"{reply.endpoint}: etcd does not take the password of user {self._credentials.user!r}"
                        f" ({fault.reason}); the last answer is kept: mend password_file"
                    )
                raise self._fault(reply, None)
            try:
                self._token = gateway.TOKEN.decode(reply.body).token
            except msgspec.DecodeError as fault:
                raise Unavailable(f"{reply.endpoint}: the answer to an authentication holds no token") from fault
        return [("Authorization", self._token)]

    async def _post(self, target: str, body: bytes, headers: list[tuple[str, str]]) -> Reply:
        return await self.peers.ask(target, headers, timeout=READ_SECONDS, method="POST", body=body)

    def _compare(self, floor: Header, now: Header) -> None:
        """Say so once where the store is not the one that was read before, or went back in time.

        Raises `Unavailable` then, since what is listened to may be the old one: everything begins anew.
        `floor` is what was seen before the request went out; reads that overlap may end in any order.
        """
        if not floor.cluster or (now.cluster == floor.cluster and now.revision >= floor.revision):
            if not self._seen.cluster or (now.cluster == self._seen.cluster and now.revision > self._seen.revision):
                self._seen = now
            return
        what = (
            f"is another cluster than before (id {now.cluster}, was {floor.cluster})"
            if now.cluster != floor.cluster
            else f"went back from revision {floor.revision} to {now.revision}"
        )
        where = self.peers.describe()
        if self._seen is floor:  # else another read said it
            self._seen = now
            self.stores += 1
            self._emit(Warned(message=f"{where}: {what}: was a backup restored? Everything is read again"))
        raise Unavailable(f"{where}: {what}; everything is read again")

    def _fault(self, reply: Reply, span: Span | None) -> CatalogError:
        """Return what an answer that is not 200 means; after one that another member may not give, turn to that."""
        fault = _decode_fault(reply)
        where = f"{reply.endpoint}: {fault.reason or f'status {reply.status}'}"
        if reply.status == 404:
            return Refused(f"{where}: there is no /v3; ctemplate needs the JSON gateway of etcd 3.4 or newer")
        if fault.code == _DENIED:
            if span is None:
                return Refused(f"{where}; the user may not write there: etcdctl role grant-permission ROLE readwrite …")
            key = span.key.decode(errors="replace").strip("\0")
            right = f"etcdctl role grant-permission ROLE {'--prefix ' if span.end else ''}read {key!r}"
            return Refused(f"{where}; the last answer is kept: {right}")
        if _wants_token(reply):
            return Refused(f"{where}; the last answer is kept: set `user` and `password_file` of the catalog")
        self.peers.turn_away()
        return Unavailable(where)


def _wants_token(reply: Reply) -> bool:
    """Tell whether an answer asks for a (newer) token. A missing one is 400, an old one 401, after a change 400."""
    if reply.status == 200:
        return False
    fault = _decode_fault(reply)
    return fault.code == _UNAUTHENTICATED or (
        fault.code == _INVALID and fault.reason.endswith(("user name is empty", "revision of auth store is old"))
    )


def _decode_fault(reply: Reply) -> Fault:
    try:
        return gateway.FAULT.decode(reply.body)
    except msgspec.DecodeError:
        return Fault()


async def _rest(chunks: AsyncIterator[bytes]) -> bytes:
    async with asyncio.timeout(READ_SECONDS):
        return b"".join([chunk async for chunk in chunks])
