"""The SmartStack catalog: the directory that synapse keeps by its `file_output`, a JSON file a service.

`DIR/SERVICE.json` is a list of `{name, host, port, id, weight, haproxy_server_options, labels}`, where `name` is the
machine that serves; synapse lists only what is up. What any other program writes in that shape is read as well. It
answers services alone: their tags, keys and nodes are not in these files.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

from ctemplate.catalog.asking import refuse_options
from ctemplate.catalog.contents import read_text
from ctemplate.catalog.fields import address_fault, port_fault, weight_fault
from ctemplate.catalog.following import Follower
from ctemplate.catalog.options import read_options
from ctemplate.catalog.watching import EVERY_NAME
from ctemplate.errors import ConfigError, Refused, Unavailable
from ctemplate.events import Emit
from ctemplate.model import Answer, BadRecord, Instance, Kind, Query, ServiceName
from ctemplate.settings import CatalogSource, Consul

_KEPT = "the last good answer"
_SUFFIX = ".json"


def open_smartstack(source: CatalogSource, consul: Consul, emit: Emit) -> SmartStackCatalog:
    """Open `smartstack:DIR` or `smartstack://DIR`. Raises `ConfigError`."""
    directory = source.url.removeprefix("smartstack:").removeprefix("//")
    if not directory:
        raise ConfigError(f"catalog {source.name}: {source.url!r} names no directory")
    read_options(source, {})
    return SmartStackCatalog(Path(directory), emit=emit)


class SmartStackCatalog:
    """Answers `Kind.SERVICE` and `Kind.SERVICES` from the files below `directory`, watched."""

    def __init__(self, directory: Path, *, emit: Emit) -> None:
        self._directory = directory.absolute()
        self._follower = Follower(emit=emit)

    def watch(self, query: Query) -> AsyncIterator[Answer]:
        """Yield the answer, then again whenever its file changes it; see `Catalog`."""
        name = query.name + _SUFFIX if query.kind is Kind.SERVICE else EVERY_NAME
        return self._follower.follow(query, self._directory / name, read=self._read)

    async def confirm(self, query: Query) -> Answer:
        """Answer from the files as they stand now."""
        return await asyncio.to_thread(self._read, query)

    async def aclose(self) -> None:
        """End every watch and the thread behind them."""
        self._follower.close()

    def describe(self) -> str:
        """The directory."""
        return f"smartstack:{self._directory}"

    def connections(self) -> int:
        """None, ever."""
        return 0

    def _read(self, query: Query) -> Answer:
        refuse_options(query, "dc", "near", "filter", by="a SmartStack directory")
        answer = _ANSWERS.get(query.kind)
        if answer is None:
            raise Refused(f"{query}: a SmartStack directory holds services alone")
        return answer(self._directory, query.name)


def _service(directory: Path, name: str) -> Answer:
    if name.startswith(".") or "/" in name or "\0" in name:
        raise Refused(f"service {name!r}: no file of a SmartStack directory can have this name")
    path = directory / (name + _SUFFIX)
    text = read_text(path, kept=_KEPT)
    if text is not None:
        return _instances(text, name, path)
    if path.name in _files(directory):  # it appeared meanwhile, or is a link to nothing
        raise Unavailable(f"{path}: is listed, but there is no such file; {_KEPT} is kept")
    return Answer(value=())


def _services(directory: Path, _: str) -> Answer:
    return Answer(value=tuple(ServiceName(file.removesuffix(_SUFFIX)) for file in _files(directory)))


def _files(directory: Path) -> list[str]:
    """Return the names of the service files, sorted. Raises `Unavailable`, also where there is not one.

    Synapse writes a file for every service it watches, so no file at all is a directory that it has not filled yet, or
    that was unmounted: nothing is known then, and no service is empty.
    """
    try:
        names = [entry.name for entry in directory.iterdir()]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Unavailable(f"{directory}: cannot be listed: {reason}; {_KEPT} is kept") from error
    files = sorted(name for name in names if name.endswith(_SUFFIX) and not name.startswith("."))
    if not files:
        raise Unavailable(f"{directory}: holds no service file (SERVICE.json); {_KEPT} is kept")
    return files


_ANSWERS: dict[Kind, Callable[[Path, str], Answer]] = {Kind.SERVICE: _service, Kind.SERVICES: _services}


class _Backend(msgspec.Struct):
    host: str
    port: int
    name: str | None = None
    id: str | int | None = None
    weight: int | None = None
    haproxy_server_options: str | None = None
    labels: dict[str, str] | None = None


_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_BACKEND = msgspec.json.Decoder(_Backend)


def _instances(text: str, service: str, path: Path) -> Answer:
    """Read one file: a fault of its shape is one of the whole file, a fault of a record leaves that record out."""
    try:
        records = _LIST.decode(text)
    except msgspec.DecodeError as error:
        raise Unavailable(f"{path}: is not a JSON list: {error}; {_KEPT} is kept") from None
    places: dict[tuple[str, str, int], Instance] = {}
    bad = []
    for number, record in enumerate(records):
        instance = _instance(service, record)
        if isinstance(instance, str):
            bad.append(BadRecord(name=service, node="", id=f"{service}[{number}]", reason=instance))
        else:
            # A nerve that crashed and restarted is listed twice, by another id, until its old session ends.
            places[instance.node, instance.address, instance.port] = instance
    instances = sorted(places.values(), key=lambda instance: (instance.node, instance.id))
    return Answer(value=tuple(instances), bad=tuple(bad))


def _instance(service: str, record: msgspec.Raw) -> Instance | str:
    """Return the instance that a record is, or why it can be none, without its values."""
    try:
        backend = _BACKEND.decode(record)
    except msgspec.DecodeError as error:
        return str(error)
    weight = 1 if backend.weight is None else backend.weight
    if fault := address_fault(backend.host) or port_fault(backend.port) or weight_fault(weight):
        return fault
    options = {"haproxy_server_options": backend.haproxy_server_options} if backend.haproxy_server_options else {}
    return Instance(
        id=f"{backend.host}:{backend.port}" if backend.id in (None, "") else str(backend.id),
        name=service,
        address=backend.host,
        port=backend.port,
        node=backend.name or "",
        weight=weight,
        meta=(backend.labels or {}) | options,
    )
