"""An HTTP server that misbehaves byte by byte, for what no real Consul can be made to do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import pytest


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]


Script: TypeAlias = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class FaultServer:
    """Runs one script a request. `open` counts its connections."""

    script: Script
    port: int = 0
    open: int = 0
    most_open: int = 0
    accepted: int = 0
    asked: list[Asked] = field(default_factory=list)
    tasks: list[asyncio.Task[None] | None] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())
        self.open += 1
        self.accepted += 1
        self.most_open = max(self.most_open, self.open)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while not writer.is_closing():
                    asked = _parse(await reader.readuntil(b"\r\n\r\n"))
                    self.asked.append(asked)
                    await self._answer(asked, reader, writer)
        finally:
            self.open -= 1
            writer.close()

    async def _answer(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Run the script until it ends or the client hangs up."""
        answering = asyncio.ensure_future(self.script(asked, writer))
        try:
            while not answering.done() and not reader.at_eof():
                await asyncio.wait([answering], timeout=0.005)
        finally:
            answering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await answering


def _parse(head: bytes) -> Asked:
    first, *lines = head.decode().split("\r\n")
    target = urlsplit(first.split(" ")[1])
    headers = dict(line.split(": ", 1) for line in lines if line)
    params = {name: values[0] for name, values in parse_qs(target.query, keep_blank_values=True).items()}
    return Asked(target.path, params, {name.lower(): text for name, text in headers.items()})


def _response(value: Any, *, status: int = 200, index: int | None = 5, **headers: str) -> bytes:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"X-Consul-Index: {index}"] if index is not None else []
    lines += [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
def response() -> Callable[..., bytes]:
    """`response(value, status=200, index=5, X_Header="…")`: a whole HTTP response, as bytes."""
    return _response


@pytest.fixture
def serving() -> Callable[..., contextlib.AbstractAsyncContextManager[FaultServer]]:
    """`async with serving(script, tls=None, path="")`: a fault server on a free port, or on a unix socket."""

    @contextlib.asynccontextmanager
    async def start(script: Script, *, tls: ssl.SSLContext | None = None, path: str = "") -> AsyncIterator[FaultServer]:
        faulty = FaultServer(script)
        if path:
            server = await asyncio.start_unix_server(faulty.serve, path)
        else:
            server = await asyncio.start_server(faulty.serve, "127.0.0.1", 0, ssl=tls)
            faulty.port = server.sockets[0].getsockname()[1]
        try:
            yield faulty
        finally:
            server.close()
            for task in faulty.tasks:
                if task:
                    task.cancel()
            await asyncio.gather(*filter(None, faulty.tasks), return_exceptions=True)
            await server.wait_closed()
            for _ in range(3):  # the event loop closes a transport on a later turn, TLS two turns later
                await asyncio.sleep(0)

    return start


@pytest.fixture
def eventually_soon() -> Callable[[Callable[[], Any]], Awaitable[Any]]:
    """`await eventually_soon(predicate)`: wait for it, at most thirty seconds, while the event loop runs on."""

    async def wait(predicate: Callable[[], Any]) -> Any:
        async with asyncio.timeout(30):
            while not (value := predicate()):  # noqa: ASYNC110  # what is waited for tells nobody
                await asyncio.sleep(0.005)
            return value

    return wait
