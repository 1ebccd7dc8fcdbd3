"""The file catalog: its server is a file."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract import BAD, SERVICE
from ctemplate.settings import CatalogSource, Consul


class File:
    consul = Consul()
    several = 2

    def __init__(self, path: Path) -> None:
        self._path = path
        self._instances: dict[str, dict[str, Any]] = {}
        self._spoiled = False
        self.start()

    def source(self) -> CatalogSource:
        return CatalogSource(url=f"file:{self._path}")

    def put(self, id: str, port: int) -> None:
        self._instances[id] = {"id": id, "address": "127.0.0.1", "port": port}
        self.start()

    def put_bad(self, id: str) -> None:
        self._instances[id] = {"id": id, "address": BAD, "port": 80}
        self.start()

    def remove(self, id: str) -> None:
        del self._instances[id]
        self.start()

    def kill(self) -> None:
        self._path.unlink()

    def start(self) -> None:
        text = json.dumps({"services": {SERVICE: list(self._instances.values())}})
        new = self._path.with_suffix(".new")
        new.write_text(text[: len(text) // 2] if self._spoiled else text)
        new.replace(self._path)

    def restart_empty(self) -> None:
        self._instances.clear()
        self.start()

    def freeze(self) -> None:
        pytest.skip("a file does not freeze")

    def part(self) -> None:
        pytest.skip("no network parts us from a file")

    def join(self) -> None:
        """Nothing was parted."""

    def thaw(self) -> None:
        """It never froze."""

    def spoil(self) -> None:
        self._spoiled = True
        self.start()

    def mend(self) -> None:
        self._spoiled = False
        self.start()

    def stranger(self) -> tuple[CatalogSource, Consul]:
        return pytest.skip("root may read every file" if os.geteuid() == 0 else "a file asks for no credentials")

    def connections(self) -> int:
        return 0

    def clear(self) -> None:
        self._spoiled = False
        self.restart_empty()


@contextlib.contextmanager
def open_server(request: pytest.FixtureRequest) -> Iterator[File]:
    yield File(request.getfixturevalue("tmp_path_factory").mktemp("file") / "services.json")
