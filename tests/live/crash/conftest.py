"""Ground for crashes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from crash.attached import Rig


@pytest.fixture
def ground() -> Iterator[Path]:
    """A directory on a memory disk, where a sync costs nothing: what is synced when is the model's business."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="ctemplate-crash-", dir=memory if memory.is_dir() else None))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def strace(require: Callable[[str], str]) -> str:
    return require("strace")


@pytest.fixture
def make_rig(ctemplate: Any, strace: str, eventually: Any, tmp_path: Path) -> Callable[[Sequence[str]], Rig]:
    """`make_rig(names)`: a daemon that is not started yet, for these files."""

    def make(names: Sequence[str]) -> Rig:
        return Rig(tmp_path / "rig", names, launcher=ctemplate, strace=strace, eventually=eventually)

    return make
