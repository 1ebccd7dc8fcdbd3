"""The floor: one asyncio loop that long-polls one service and rewrites one file, and does nothing else.

No retries, no checks of what comes in, no second service: what a change costs when only the change is
paid for. It syncs file and directory as ctemplate does.

    python benchmarks/bare_loop.py HOST PORT SERVICE DESTINATION
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import jinja2

TEMPLATE = (
    "{% for i in instances %}server {{ i.Service.Address or i.Node.Address }}:{{ i.Service.Port }};\n{% endfor %}"
)


async def get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, path: str) -> tuple[str, bytes]:
    """One GET on a connection that stays open; the index and the body."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    if b"content-length" in fields:
        return fields[b"x-consul-index"].decode(), await reader.readexactly(int(fields[b"content-length"]))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return fields[b"x-consul-index"].decode(), body


def replace(path: Path, text: str) -> None:
    """Stage, sync, rename, sync the directory."""
    staged = path.with_name(f".{path.name}.staged")
    with staged.open("wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    staged.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)


async def main(host: str, port: int, service: str, destination: Path) -> None:
    template = jinja2.Environment().from_string(TEMPLATE)
    reader, writer = await asyncio.open_connection(host, port, limit=1 << 24)
    index, old = "0", b""
    while True:
        path = f"/v1/health/service/{service}?passing=1&stale=&wait=60s&index={index}"
        index, body = await get(reader, writer, host, path)
        if body != old:
            old = body
            replace(destination, template.render(instances=json.loads(body)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])))
