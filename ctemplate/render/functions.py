"""The functions a template may call: what it may ask of the catalogs, the environment and the disk.

Each reads the snapshot of the current pass and nothing else. What is not known yet is noted there and
an empty stand-in returned, so that one pass finds as much of what is missing as it can.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ctemplate.model import DISK, Instance, KeyValue, Kind, Node, NodeServices, Query, ServiceName
from ctemplate.render.catalogs import Catalogs
from ctemplate.render.faults import Fault
from ctemplate.render.leaving import unmarked
from ctemplate.render.markup import Safe
from ctemplate.render.services import Selection, plain_selection, read_selection, refuse_surrogates
from ctemplate.spelling import suggestion

if TYPE_CHECKING:
    from ctemplate.render.environment import CheckedEnvironment

_Record = TypeVar("_Record")


class _Required:
    """The type of "no default was given"."""


_REQUIRED = _Required()


class Joiner:
    """Jinja2's `joiner`, whose first answer is nothing: the author's nothing, not an empty value."""

    def __init__(self, safe: type[Safe], separator: Any) -> None:
        self._next: Any = safe("")
        self._separator = separator

    def __call__(self) -> Any:
        """Return nothing the first time, then the separator."""
        given, self._next = self._next, self._separator
        return given


MOST_NUMBERS = 1_000_000
"""What C code runs over (`sum`, `in`) cannot be cut short: a million numbers take it 20 ms, 10**12 hours."""


def numbers(*limits: int) -> range:
    """Jinja2's `range`, bounded."""
    found = range(*limits)
    if found[MOST_NUMBERS:]:
        raise Fault(f"range(): more than {MOST_NUMBERS} numbers")
    return found


REPEATABLE = frozenset(
    {
        *("service", "nodes", "datacenters", "key", "key_exists", "ls", "tree", "env", "file"),
        *("cycler", "dict", "joiner", "namespace", "range"),
    }
)
"""The functions that give the same again where what they ask for is the same, and of which nothing else is kept."""


class Functions:
    """The functions of one template, and the queries that its calls made before."""

    def __init__(
        self,
        environment: CheckedEnvironment,
        *,
        environ: Mapping[str, str] | None,
        directory: Path | None,
        file_roots: tuple[Path, ...] | None,
        catalogs: Catalogs,
    ) -> None:
        """`environ` is None where templates may not see it; `file_roots` empty is anywhere, None is nowhere."""
        self._environment = environment
        self._catalogs = catalogs
        self._environ = environ
        self._directory = directory
        self._roots = file_roots
        self._plain: dict[str, Selection] = {}
        """`service(name)` without options, by a name that is data."""
        self._selections: dict[tuple[Any, ...], Selection] = {}
        self._queries: dict[tuple[Any, ...], Query] = {}
        self._texts: dict[str, Query] = {}

    def names(self) -> dict[str, Callable[..., Any]]:
        """The functions by the names that templates call them by."""
        functions: tuple[Callable[..., Any], ...] = (
            self.service, self.services, self.nodes, self.node, self.datacenters, self.key, self.key_exists,
            self.ls, self.tree, self.env, self.file,
        )  # fmt: skip
        safe = self._environment.safe
        return {
            **{function.__name__: function for function in functions},
            "joiner": lambda sep=None: Joiner(safe, safe(", ") if sep is None else sep),
        }

    def service(
        self,
        name: str,
        *words: str,
        tag: str | Iterable[str] = "",
        dc: str = "",
        near: str = "",
        status: str | Iterable[str] = "",
        filter: str = "",
        catalog: str | Iterable[str] = "",
    ) -> list[Instance]:
        """Return the instances of a service, passing ones unless `status` says otherwise, in the answer's order.

        Of several catalogs: what all of them say, once all are known (`Selection.take`).
        """
        if self._environment.current.probes and isinstance(name, str):
            name = unmarked(name)
        if type(name) is str and not (words or tag or dc or near or status or filter or catalog):
            selection = self._plain.get(name)
            if selection is None:
                selection = self._plain[name] = plain_selection(name, self._catalogs.several(""))
        else:
            selection = self._select(name, words, tag, dc, near, status, filter, catalog)
        current = self._environment.current
        answers = [answer.value for query in selection.queries if (answer := current.answer(query)) is not None]
        if len(answers) < len(selection.queries):
            return []
        given = selection.take(*cast(list[tuple[Instance, ...]], answers))
        if current.left_out:
            given = self._kept(current.guard(selection, self._kept(given)))
        else:
            given = current.guard(selection, given)
        return self._probed(given) if current.probes else given

    def _select(
        self,
        name: str,
        words: tuple[str, ...],
        tag: str | Iterable[str],
        dc: str,
        near: str,
        status: str | Iterable[str],
        filter_: str,
        catalog: str | Iterable[str],
    ) -> Selection:
        if not isinstance(name, str):
            raise Fault(f"service(): the name is a value of type {type(name).__name__}, not a string")
        literal = isinstance(name, Safe) and name.shadow is None
        tags = tag if isinstance(tag, str) else tuple(tag)
        statuses = status if isinstance(status, str) else tuple(status)
        catalogs = catalog if isinstance(catalog, str) else tuple(catalog)
        key = (name, literal, words, tags, dc, near, statuses, filter_, catalogs)
        selection = self._selections.get(key)
        if selection is None:
            selection = self._selections[key] = read_selection(
                str(name),
                words,
                literal=literal,
                tag=tags,
                dc=dc,
                near=near,
                status=statuses,
                filter_=filter_,
                catalogs=self._catalogs.several(catalogs),
            )
        return selection

    def _probed(self, records: Iterable[_Record]) -> list[_Record]:
        """Put the marked copies of suspects in their places, while it is sought whose value was refused."""
        probes = self._environment.current.probes
        return [cast(_Record, probes.get(id(record), record)) for record in records]

    def _kept(self, records: Iterable[_Record]) -> list[_Record]:
        left_out = self._environment.current.left_out
        return [record for record in records if id(record) not in left_out]

    def _ask(self, kind: Kind, name: str = "", *, dc: str = "", near: str = "", catalog: str = "") -> tuple[Query, Any]:
        catalog = DISK if kind is Kind.TEXT else self._catalogs.one(catalog)
        if self._environment.current.probes:
            name = unmarked(name)
        key = (kind, name, dc, near, catalog)
        query = self._queries.get(key)
        if query is None:
            query = Query(catalog=catalog, kind=kind, name=str(name), dc=str(dc), near=str(near))
            refuse_surrogates(str(query))
            self._queries[key] = query
        return query, self._environment.current.answer(query)

    def services(self, *, dc: str = "", catalog: str | Iterable[str] = "") -> list[ServiceName]:
        """Return the names and tags of all services, sorted by name; of several catalogs each name once."""
        asked = [self._ask(Kind.SERVICES, dc=dc, catalog=name) for name in self._catalogs.several(catalog)]
        if any(answer is None for _, answer in asked):
            return []
        guard = self._environment.current.guard_listing
        listings = [guard(query, self._kept(answer.value)) for query, answer in asked]
        if self._environment.current.probes:
            listings = list(map(self._probed, listings))
        if len(listings) == 1:
            return listings[0]
        tags: dict[str, set[str]] = {}
        for service in (service for listing in listings for service in listing):
            tags.setdefault(service.name, set()).update(service.tags)
        return [ServiceName(name, tuple(sorted(carried))) for name, carried in sorted(tags.items())]

    def nodes(self, *, dc: str = "", near: str = "", catalog: str = "") -> list[Node]:
        """Return all nodes, sorted by name unless `near` is given."""
        _, answer = self._ask(Kind.NODES, dc=dc, near=near, catalog=catalog)
        return [] if answer is None else list(answer.value)

    def node(self, name: str, *, dc: str = "", catalog: str = "") -> NodeServices | None:
        """Return a node with its instances; None if there is no such node."""
        _, answer = self._ask(Kind.NODE, name, dc=dc, catalog=catalog)
        if answer is None:
            return NodeServices(Node(name=str(name)))
        found = cast(NodeServices | None, answer.value)
        if found is None:
            return None
        current = self._environment.current
        if any(id(instance) in current.left_out for instance in found.services):
            found = NodeServices(found.node, tuple(self._kept(found.services)))
        current.give_node(found.services)
        return NodeServices(found.node, tuple(self._probed(found.services))) if current.probes else found

    def datacenters(self, *, catalog: str = "") -> list[str]:
        """Return the names of the datacenters, sorted."""
        _, answer = self._ask(Kind.DATACENTERS, catalog=catalog)
        return [] if answer is None else list(answer.value)

    def key(self, path: str, default: Any = _REQUIRED, *, dc: str = "", catalog: str = "") -> Any:
        """Return a key's value. Without a default, a key that does not exist yet is waited for."""
        query, answer = self._ask(Kind.KEY, str(path).lstrip("/"), dc=dc, catalog=catalog)
        if answer is not None and answer.value is not None:
            return answer.value
        if default is not _REQUIRED:
            return default
        if answer is not None:
            self._environment.current.lack(query)
        return ""

    def key_exists(self, path: str, *, dc: str = "", catalog: str = "") -> bool:
        """Whether there is such a key."""
        _, answer = self._ask(Kind.KEY, str(path).lstrip("/"), dc=dc, catalog=catalog)
        return answer is not None and answer.value is not None

    def ls(self, path: str, *, dc: str = "", catalog: str = "") -> list[KeyValue]:
        """Return the keys directly below a prefix, sorted by path."""
        return [pair for pair in self.tree(path, dc=dc, catalog=catalog) if "/" not in pair.path]

    def tree(self, path: str, *, dc: str = "", catalog: str = "") -> list[KeyValue]:
        """Return the keys below a prefix at any depth, sorted by path; folder markers are left out."""
        _, answer = self._ask(Kind.KEYS, str(path).strip("/"), dc=dc, catalog=catalog)
        if answer is None:
            return []
        return [pair for pair in answer.value if pair.path and not pair.path.endswith("/")]

    def env(self, name: str, default: Any = _REQUIRED) -> Any:
        """Return an environment variable; never in the sandbox, since tokens may stand there."""
        if self._environ is None:
            raise Fault("env(): a template in the sandbox sees no environment; hand it what it needs by `vars`")
        found = self._environ.get(str(name))
        if found is not None:
            return found
        if default is not _REQUIRED:
            return default
        named = f" {str(name)!r}{suggestion(str(name), self._environ)}" if isinstance(name, Safe) else ""
        raise Fault(f"env(): there is no environment variable{named}; set it, or give env() a default")

    def file(self, path: str) -> Any:
        """Return the text of a file; one that does not exist yet is waited for."""
        name = str(path)
        if ".." in name.split("/") and not (isinstance(path, Safe) and path.shadow is None):
            raise Fault("file(): a path with a value in it holds `..`, which only the author's own text may hold")
        if not name.startswith("/"):
            if self._directory is None:
                raise Fault("file(): an inline template has no directory, the path must be absolute")
            name = f"{self._directory}/{name}"
        name = posixpath.normpath(name)
        roots = self._roots
        if roots is None or (roots and not any(root in PurePath(name).parents for root in roots)):
            raise Fault("file(): the path is outside the directories that this template may read (file_roots)")
        query = self._texts.get(name)
        if query is None:
            refuse_surrogates(name)
            query = self._texts[name] = Query(
                catalog=DISK, kind=Kind.TEXT, name=name, filter="\n".join(map(str, roots))
            )
        answer = self._environment.current.answer(query)
        if answer is None:
            return ""
        if answer.value is None:
            self._environment.current.lack(query)
            return ""
        return answer.value
