"""Configurations in a directory of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ctemplate.config import Flags, load
from ctemplate.errors import ConfigError
from ctemplate.settings import Settings

TEMPLATE = '[[template]]\nsource = "a.j2"\ndestination = "a.conf"\n'


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., Settings]:
    """`loaded(text, environ={}, **flags)`: the settings of a file that says `text`, one template added at its end."""

    def read(text: str = "", *, environ: Mapping[str, str] | None = None, **flags) -> Settings:
        path = tmp_path / "c.toml"
        path.write_text(f"{text}\n{TEMPLATE}")
        return load(Flags(**{"config": (str(path),), **flags}), environ=environ or {}, cwd=tmp_path)

    return read


@pytest.fixture
def refused(loaded: Callable[..., Settings], tmp_path: Path) -> Callable[..., list[str]]:
    """`refused(text, environ={}, **flags)`: the lines of the error, without the directory."""

    def read(text: str = "", **given) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            loaded(text, **given)
        return str(caught.value).replace(f"{tmp_path}/", "").split("\n")

    return read
