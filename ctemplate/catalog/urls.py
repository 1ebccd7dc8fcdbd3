"""The parts of a catalog's URL that names several hosts and may hold a user, with errors that never repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from ctemplate.catalog.credentials import Credentials
from ctemplate.config import values
from ctemplate.config.values import Kind
from ctemplate.errors import ConfigError
from ctemplate.settings import CatalogSource

USER_OPTIONS: Mapping[str, Kind] = {"user": values.TEXT, "password": values.TEXT, "password_file": values.PATH}


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of `SCHEME://[user[:password]@]host[:port],…[/path]`."""

    scheme: str
    user: str
    password: str = field(repr=False)
    hosts: str
    path: str | None
    """Without its first slash; None where there is not even that."""

    def credentials(self, options: Mapping[str, Any]) -> Credentials | None:
        """Return who we are by `USER_OPTIONS` and the URL, the options first; None where there is no user."""
        user = options.get("user", self.user)
        password = options.get("password", self.password)
        return Credentials(user, password, options.get("password_file")) if user else None


def split_url(source: CatalogSource) -> Url:
    """Return the parts of `source.url`. Raises `ConfigError`, which does not repeat it: it may hold a password."""
    scheme, slashes, rest = source.url.partition("://")
    address, slash, path = rest.partition("/")
    userinfo, _, hosts = address.rpartition("@")
    if not slashes or not hosts:
        raise ConfigError(f"catalog {source.name}: expected {scheme.partition(':')[0]}://host[:port][,host…][/base]")
    user, _, password = userinfo.partition(":")
    return Url(scheme, unquote(user), unquote(password), hosts, path if slash else None)
