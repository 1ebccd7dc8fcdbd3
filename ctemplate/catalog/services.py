"""The file catalog: every question answered from one YAML, JSON or TOML file, for a machine with no server.

Its format is documented in docs/file-catalog.md; `service_file` knows the shape, this module only what each
query means for it. A file that is broken or missing is never an empty answer.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from ctemplate.catalog.asking import refuse_options
from ctemplate.catalog.contents import read_text
from ctemplate.catalog.documents import PARSERS, Fault, parse
from ctemplate.catalog.following import Follower
from ctemplate.catalog.options import read_options
from ctemplate.catalog.service_file import ServiceFile, shape
from ctemplate.errors import ConfigError, Refused, Unavailable
from ctemplate.events import Emit
from ctemplate.model import Answer, KeyValue, Kind, NodeServices, Query, ServiceName
from ctemplate.settings import CatalogSource, Consul

_KEPT = "the last good answer"


def open_file(source: CatalogSource, consul: Consul, emit: Emit) -> FileCatalog:
    """Open `file:PATH` or `file://PATH`. Raises `ConfigError`."""
    path = source.url.removeprefix("file:").removeprefix("//")
    if not path:
        raise ConfigError(f"catalog {source.name}: {source.url!r} names no file")
    read_options(source, {})
    return FileCatalog(Path(path), emit=emit)


class FileCatalog:
    """Answers every kind but `Kind.TEXT` from the file at `path`, watched.

    `dc` may only be the file's own datacenter; `near` and `filter` are `Refused`. Raises `ConfigError` when made
    with a file name that has none of the known suffixes.
    """

    def __init__(self, path: Path, *, emit: Emit) -> None:
        if path.suffix.lower() not in PARSERS:
            known = ", ".join(PARSERS)
            raise ConfigError(f"catalog file {path}: the name must end in one of {known}, which says how it is read")
        self._path = path.absolute()
        self._follower = Follower(emit=emit)
        self._parsing = threading.Lock()
        self._text: str | None = None
        self._parsed: ServiceFile | Unavailable | None = None

    def watch(self, query: Query) -> AsyncIterator[Answer]:
        """Yield the answer, then again whenever the file changes it; see `Catalog`."""
        return self._follower.follow(query, self._path, read=self._read)

    async def confirm(self, query: Query) -> Answer:
        """Answer from the file as it stands now."""
        return await asyncio.to_thread(self._read, query)

    async def aclose(self) -> None:
        """End every watch and the thread behind them."""
        self._follower.close()

    def describe(self) -> str:
        """The file."""
        return f"file:{self._path}"

    def connections(self) -> int:
        """None, ever."""
        return 0

    def _read(self, query: Query) -> Answer:
        if query.kind is Kind.TEXT:
            raise Refused(f"{query}: a services file holds no texts")
        refuse_options(query, "near", "filter", by="a services file")
        file = self._load()
        if query.dc not in ("", file.datacenter):
            raise Refused(f"{query}: {self._path} knows only datacenter {file.datacenter!r} (its key `datacenter`)")
        return ANSWERS[query.kind](file, query.name)

    def _load(self) -> ServiceFile:
        # Queries read at the same time, in worker threads: the first one parses, the others find it done.
        with self._parsing:
            text = read_text(self._path, kept=_KEPT)
            if text is None:
                raise Unavailable(f"{self._path}: no such file; {_KEPT} is kept")
            if self._parsed is None or text != self._text:
                self._parsed, self._text = self._parse(text), text
            if isinstance(self._parsed, Unavailable):
                raise Unavailable(*self._parsed.args)
            return self._parsed

    def _parse(self, text: str) -> ServiceFile | Unavailable:
        try:
            return shape(parse(text, suffix=self._path.suffix.lower()))
        except Fault as fault:
            return Unavailable(f"{self._path}: {fault}; {_KEPT} is kept")


def _service(file: ServiceFile, name: str) -> Answer:
    bad = tuple(record for record in file.bad if record.name == name)
    return Answer(value=file.services.get(name, ()), bad=bad)


def _services(file: ServiceFile, name: str) -> Answer:
    names = [
        ServiceName(service, tuple(sorted({tag for instance in instances for tag in instance.tags})))
        for service, instances in sorted(file.services.items())
        if instances
    ]
    return Answer(value=tuple(names))


def _nodes(file: ServiceFile, name: str) -> Answer:
    bad = tuple(record for record in file.bad if not record.name)
    return Answer(value=tuple(node for _, node in sorted(file.nodes.items())), bad=bad)


def _node(file: ServiceFile, name: str) -> Answer:
    bad = tuple(record for record in file.bad if record.node == name)
    if name not in file.nodes:
        return Answer(value=None, bad=bad)
    instances = [instance for instances in file.services.values() for instance in instances if instance.node == name]
    instances.sort(key=lambda instance: (instance.name, instance.id))
    return Answer(value=NodeServices(file.nodes[name], tuple(instances)), bad=bad)


def _datacenters(file: ServiceFile, name: str) -> Answer:
    return Answer(value=(file.datacenter,))


def _key(file: ServiceFile, name: str) -> Answer:
    return Answer(value=file.keys.get(name.strip("/")))


def _keys(file: ServiceFile, name: str) -> Answer:
    prefix = name.strip("/") + "/" if name.strip("/") else ""
    below = ((path.removeprefix(prefix), value) for path, value in file.keys.items() if path.startswith(prefix))
    return Answer(value=tuple(KeyValue(path, value) for path, value in below))


ANSWERS: dict[Kind, Callable[[ServiceFile, str], Answer]] = {
    Kind.SERVICE: _service,
    Kind.SERVICES: _services,
    Kind.NODES: _nodes,
    Kind.NODE: _node,
    Kind.DATACENTERS: _datacenters,
    Kind.KEY: _key,
    Kind.KEYS: _keys,
}
