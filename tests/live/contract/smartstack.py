"""A SmartStack directory: its server is a directory, with a file for each service that has instances."""

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


class SmartStack:
    consul = Consul()
    several = 2

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._backends: dict[str, dict[str, Any]] = {}
        self._spoiled = False
        directory.mkdir()
        (directory / "other.json").write_text("[]")  # synapse watches more than one service

    def source(self) -> CatalogSource:
        return CatalogSource(url=f"smartstack:{self._directory}")

    def put(self, id: str, port: int) -> None:
        self._backends[id] = {"id": id, "name": "node", "host": "127.0.0.1", "port": port}
        self._write()

    def put_bad(self, id: str) -> None:
        self._backends[id] = {"id": id, "host": BAD, "port": 80}
        self._write()

    def remove(self, id: str) -> None:
        del self._backends[id]
        self._write()

    def kill(self) -> None:
        self._directory.rename(self._away)

    def start(self) -> None:
        self._away.rename(self._directory)

    def restart_empty(self) -> None:
        self._backends.clear()
        self._write()

    def freeze(self) -> None:
        pytest.skip("a directory does not freeze")

    def part(self) -> None:
        pytest.skip("no network parts us from a directory")

    def join(self) -> None:
        """Nothing was parted."""

    def thaw(self) -> None:
        """It never froze."""

    def spoil(self) -> None:
        self._spoiled = True
        self._write()

    def mend(self) -> None:
        self._spoiled = False
        self._write()

    def stranger(self) -> tuple[CatalogSource, Consul]:
        return pytest.skip("root may read every file" if os.geteuid() == 0 else "a file asks for no credentials")

    def connections(self) -> int:
        return 0

    def clear(self) -> None:
        if self._away.exists():
            self.start()
        self._spoiled = False
        self.restart_empty()

    @property
    def _away(self) -> Path:
        return self._directory.with_suffix(".away")

    def _write(self) -> None:
        text = json.dumps(list(self._backends.values()))
        file, new = self._directory / f"{SERVICE}.json", self._directory / ".new"
        if self._backends:
            new.write_text(text[: len(text) // 2] if self._spoiled else text)
            new.replace(file)
        else:
            file.unlink(missing_ok=True)


@contextlib.contextmanager
def open_server(request: pytest.FixtureRequest) -> Iterator[SmartStack]:
    yield SmartStack(request.getfixturevalue("tmp_path_factory").mktemp("smartstack") / "synapse")
