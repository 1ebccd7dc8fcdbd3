"""The JSON that etcd's gateway speaks (`/v3`, etcd 3.4 and newer): requests as bytes, answers as typed records.

Keys and values are base64 both ways, 64-bit integers are texts, and whatever is empty is left out: an empty range
has no `kvs`, a PUT event has no `type`. It talks to nobody.
"""

from __future__ import annotations

import base64
import json

import msgspec

PAGE_KEYS = 2_000
"""Keys of one page. Every page is read at the revision of the first, so they make one moment."""


class Span(msgspec.Struct, frozen=True):
    """The keys from `key` up to `end`, which does not belong to them; that one key where `end` is empty."""

    key: bytes
    end: bytes = b""

    @classmethod
    def below(cls, folder: str) -> Span:
        """Every key that begins with `folder`; every key there is where it is empty."""
        if not folder:
            return cls(b"\0", b"\0")
        prefix = folder.encode()
        last = prefix.rstrip(b"\xff")  # UTF-8 has no such byte
        return cls(prefix, last[:-1] + bytes([last[-1] + 1]))


class Header(msgspec.Struct, rename={"cluster": "cluster_id"}):
    """Which cluster answered, and at which revision of its store."""

    cluster: int = 0
    revision: int = 0


class Pair(msgspec.Struct):
    """A key, its value, and the lease that it ends with (0: none)."""

    key: bytes = b""
    value: bytes = b""
    lease: int = 0


class Page(msgspec.Struct):
    """A part of a range; `more` follows."""

    header: Header
    kvs: list[Pair] = []
    more: bool = False
    count: int = 0
    """How many keys the whole range has, those that were not asked for too."""


class Watched(msgspec.Struct):
    """One thing that a watch says."""

    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    cancel_reason: str = ""
    events: list[msgspec.Raw] = []


class Fault(msgspec.Struct):
    """An error, as any release puts it: 3.4 says `error` and `message`, 3.5 `message` alone, a stream `grpc_code`."""

    message: str = ""
    error: str = ""
    code: int = 0
    grpc_code: int = 0

    @property
    def reason(self) -> str:
        """The server's words."""
        return self.message or self.error


class Line(msgspec.Struct):
    """One line of a stream."""

    result: Watched | None = None
    error: Fault | None = None


class Token(msgspec.Struct):
    """What an authentication gives."""

    token: str


# `strict=False` reads the texts that integers come as.
PAGE = msgspec.json.Decoder(Page, strict=False)
LINE = msgspec.json.Decoder(Line, strict=False)
FAULT = msgspec.json.Decoder(Fault, strict=False)
TOKEN = msgspec.json.Decoder(Token)


def range_request(
    span: Span, *, after: bytes = b"", revision: int = 0, since: int = 0, limit: int = PAGE_KEYS
) -> bytes:
    """Ask for one page of `span`: behind the key `after`, as it was at `revision`. Linearizable, never `serializable`.

    `since` asks for those only that were modified after that revision.

    A serializable read is answered, with 200 and old content, by a member that lost its cluster.
    """
    body = {"key": _base64(after + b"\0" if after else span.key), "limit": limit}
    if span.end:
        body["range_end"] = _base64(span.end)
    if revision:
        body["revision"] = str(revision)
    if since:
        body["min_mod_revision"] = str(since + 1)
    return json.dumps(body).encode()


def watch_request(span: Span) -> bytes:
    """Ask for every change of `span` from now on, and for a word every ten minutes where there is none."""
    create = {"key": _base64(span.key), "progress_notify": True}
    if span.end:
        create["range_end"] = _base64(span.end)
    return json.dumps({"create_request": create}).encode()


def put_request(key: bytes, value: bytes, *, lease: int) -> bytes:
    """Write a key that ends with a lease."""
    return json.dumps({"key": _base64(key), "value": _base64(value), "lease": str(lease)}).encode()


def delete_request(key: bytes) -> bytes:
    """Remove a key."""
    return json.dumps({"key": _base64(key)}).encode()


def authenticate_request(user: str, password: str) -> bytes:
    """Ask for a token."""
    return json.dumps({"name": user, "password": password}).encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
