"""Consul's own environment variables, read as Consul's own command line reads them.

An empty variable is none. Unlike Consul, a truth value that is none is an error here: Consul goes on
without TLS when it cannot read `CONSUL_HTTP_SSL`, and would send the token in clear.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ctemplate.config import keys
from ctemplate.config.problems import Problems, Said
from ctemplate.config.values import from_text
from ctemplate.errors import ConfigError

_CA_DIRECTORY = "CONSUL_CAPATH"


def read_environment(environ: Mapping[str, str], *, base: Path, problems: Problems) -> dict[str, Said]:
    """The settings that `environ` holds, by the names of `keys.GLOBAL`."""
    said: dict[str, Said] = {}
    for name, key in keys.GLOBAL.items():
        text = environ.get(key.env, "") if key.env else ""
        if not text:
            continue
        try:
            value = from_text(key.kind, text)
        except ConfigError as error:
            problems.add(key.env, str(error))
            continue
        read = problems.read(key.kind, value, key.env, base=base)
        if read is not None:
            said[name] = read
    return said


def environment_warnings(environ: Mapping[str, str]) -> list[str]:
    """What `environ` asks for that is not done."""
    if environ.get(_CA_DIRECTORY) and not environ.get("CONSUL_CACERT"):
        return [f"{_CA_DIRECTORY} is not read: put the certificates in one file and name it by CONSUL_CACERT"]
    return []
