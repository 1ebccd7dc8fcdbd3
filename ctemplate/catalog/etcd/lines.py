"""A watch's stream as lines, and a line as what it says: one JSON document a line, over HTTP chunks of any size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import msgspec

from ctemplate.catalog.etcd import gateway
from ctemplate.catalog.etcd.gateway import Line, Watched
from ctemplate.errors import Unavailable

LINE_BYTES_MAX = 64 * 1024 * 1024
"""One line is one transaction: etcd's own limit of a request is 1.5 MB."""


def read_line(line: bytes, where: str) -> Watched:
    """Return what a line says. Raises `Unavailable` for an error, or what is no line at all."""
    try:
        said: Line = gateway.LINE.decode(line)
    except msgspec.DecodeError as fault:
        raise Unavailable(f"{where}: a line is no JSON of a watch ({fault})") from fault
    if said.error is not None:
        raise Unavailable(f"{where}: {said.error.reason or 'the server ended the watch'}")
    return said.result or Watched()


async def split_lines(chunks: AsyncIterator[bytes], *, silence: Callable[[], float]) -> AsyncGenerator[bytes, None]:
    """Yield line by line; the last may lack its end. Raises TimeoutError after `silence()` seconds of none."""
    rest = b""
    while True:
        async with asyncio.timeout(silence()):
            chunk = await anext(chunks, b"")
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
        if len(rest) > LINE_BYTES_MAX:
            raise Unavailable("a line of the watch has no end")
    if rest:
        yield rest
    raise Unavailable("the server ended the watch")
