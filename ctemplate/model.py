"""The values that flow through ctemplate: questions, answers and renderings. What is committed is in `changes.py`.

Everything here is immutable, compares by value and does no I/O. They are msgspec structs rather than
dataclasses because a template over 10,000 services holds 50,000 instances (docs/adr/0002).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    from ctemplate.render.services import Selection


class Kind(enum.StrEnum):
    """What a query asks for, and so the type of its answer's value."""

    SERVICE = "service"  # tuple[Instance, ...], of every status, sorted by node, then id
    SERVICES = "services"  # tuple[ServiceName, ...], sorted by name
    NODES = "nodes"  # tuple[Node, ...], sorted by name
    NODE = "node"  # NodeServices, or None when the catalog says there is no such node
    DATACENTERS = "datacenters"  # tuple[str, ...], sorted
    KEY = "key"  # str, or None when the catalog says there is no such key
    KEYS = "keys"  # tuple[KeyValue, ...] below a prefix at any depth, sorted by path
    TEXT = "text"  # str, or None when there is no such file; the disk catalog's only kind
    CHECKS = "checks"  # never answered: it asks that instances come with their checks from now on


DISK = "disk"
"""The catalog that answers `Kind.TEXT`: template texts, includes and `file()`. No user can name one so."""


class Query(msgspec.Struct, frozen=True, cache_hash=True, kw_only=True):
    """One question to one catalog. Equal queries share one watch; `str()` is its name in logs."""

    catalog: str = "default"
    kind: Kind
    name: str = ""
    """The service, node, key, prefix or absolute path asked for; empty where the kind needs none."""
    dc: str = ""
    near: str = ""
    """Sort by round trip time from this node (`_agent`: the agent's own); the answer keeps that order."""
    filter: str = ""
    """An expression in the catalog's own filter language, passed through. Of local files: the directories, a line
    each, below which the file must really lie, wherever symbolic links lead; empty is anywhere."""

    def __str__(self) -> str:
        text = f"{self.kind}({self.name})" if self.name else f"{self.kind}()"
        for mark, value in (("@", self.dc), ("~", self.near), ("|", self.filter)):
            if value and self.catalog != DISK:
                text += mark + value
        return text if self.catalog in ("default", DISK) else f"{self.catalog}:{text}"


PASSING, WARNING, CRITICAL, MAINTENANCE = "passing", "warning", "critical", "maintenance"
STATUSES = (PASSING, WARNING, CRITICAL, MAINTENANCE)
"""From best to worst: an instance's status is the worst of its own checks and its node's."""


class UnreadChecks(Exception):  # no error: it tells that they must be asked for
    """Somebody looks at the checks of an instance that came without them."""


class Check(msgspec.Struct, frozen=True, gc=False):
    """A health check of an instance or its node. Its output is left out: it changes without meaning."""

    id: str
    name: str
    status: str


class Instance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One instance of a service, as templates see it. Every field is typed and checked when it came in."""

    id: str
    name: str
    address: str
    """An IP address or host name; the node's where the instance has none. Unbracketed."""
    port: int
    """1–65535, or 0 where the service has no port."""
    node: str = ""
    node_address: str = ""
    tags: tuple[str, ...] = ()
    """Sorted."""
    meta: dict[str, str] = {}
    status: str = PASSING
    weight: int = 1
    all_checks: tuple[Check, ...] | None = msgspec.field(name="checks", default=())
    """Its own and its node's; None where nobody has asked for them yet (`Kind.CHECKS`)."""
    dc: str = ""

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks of the instance and of its node. Raises `UnreadChecks` where they were not asked for."""
        if self.all_checks is None:
            raise UnreadChecks
        return self.all_checks

    @property
    def host(self) -> str:
        """The address as it stands before a colon: an IPv6 address in brackets, anything else as it is."""
        return f"[{self.address}]" if ":" in self.address else self.address

    @property
    def endpoint(self) -> str:
        """`host:port`, ready for a `server` line, for IPv6 too."""
        address = self.address  # `host` once more: a large file asks fifty thousand times
        return f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"


class ServiceName(msgspec.Struct, frozen=True):
    """A service in a catalog's listing, with every tag that any of its instances carries, sorted."""

    name: str
    tags: tuple[str, ...] = ()


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A machine in the catalog."""

    name: str
    address: str = ""
    meta: dict[str, str] = {}
    dc: str = ""


class NodeServices(msgspec.Struct, frozen=True):
    """A node with the instances on it, sorted by service name, then id."""

    node: Node
    services: tuple[Instance, ...] = ()


class KeyValue(msgspec.Struct, frozen=True):
    """A key, its path relative to the prefix that was asked for, and its value as text."""

    path: str
    value: str


Value: TypeAlias = (
    tuple[Instance, ...]
    | tuple[ServiceName, ...]
    | tuple[Node, ...]
    | NodeServices
    | tuple[str, ...]
    | tuple[KeyValue, ...]
    | str
    | None
)


class BadRecord(msgspec.Struct, frozen=True):
    """A record that was left out of an answer because it cannot be what it claims to be."""

    name: str
    """Of the service, or the key."""
    node: str
    id: str
    reason: str
    """Which field and which class of fault; never the value."""


class Answer(msgspec.Struct, frozen=True):
    """All that a catalog knows on one query, complete. Two answers are the same news if they are equal."""

    value: Value
    bad: tuple[BadRecord, ...] = ()


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a query is not current. Its last answer, if there ever was one, still stands in the snapshot."""

    reason: str
    refused: bool
    """The catalog said no: waiting will not help, a person must."""
    since: float
    """Seconds since the epoch."""


class Snapshot(msgspec.Struct, frozen=True):
    """What is known at one moment. A missing key means "not known yet", never "empty"."""

    answers: Mapping[Query, Answer]
    failures: Mapping[Query, Failure] = {}


class LeftOut(msgspec.Struct, frozen=True):
    """An instance that a rendering goes without, because its format refuses a value that it carries."""

    service: str
    node: str
    id: str
    reason: str
    """Field, format and the class of the first bad character; never the value."""


Identity: TypeAlias = tuple[str, str]
"""An instance's node and id: by these it is the same one, whatever else changes."""


class Basis(msgspec.Struct, frozen=True, kw_only=True):
    """What a rendering followed from. Once it is committed, what comes later is held against this."""

    answers: Mapping[Query, Answer] = {}
    """Of everything that was read, local files excepted."""
    given: Mapping[Selection, tuple[Instance, ...]] = {}
    """The instances that each call of `service()` returned."""
    listed: Mapping[Query, tuple[ServiceName, ...]] = {}
    """What each call of `services()` returned."""


class Shrink(msgspec.Struct, frozen=True, kw_only=True):
    """A selection that lost more since the last commit than its guard allows."""

    selection: Selection
    before: int
    after: int
    """How many there are without those that were lost."""
    lost: frozenset[Identity]
    reason: str
    """Which limit, with its figures."""
    held: bool
    """Whether the template was given the lost ones all the same; otherwise it is only to be told."""


class Rendering(msgspec.Struct, frozen=True, kw_only=True):
    """What one template's file should hold, and what that followed from."""

    template: str
    """The template's name: its destination as text."""
    content: bytes
    reads: frozenset[Query]
    instances: int
    """How many different instances the template was given."""
    left_out: tuple[LeftOut, ...] = ()
    basis: Basis = Basis()
    shrinks: tuple[Shrink, ...] = ()
    stale: bool = False
    """Whether it followed from answers of an earlier run, since this one has none yet."""


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A template that cannot render yet: queries without an answer, or keys that do not exist yet."""

    template: str
    queries: frozenset[Query]
    """Asked and never answered."""
    keys: frozenset[Query]
    """Answered: there is no such key or file, and the template gave no default."""
    reads: frozenset[Query]
    shrinks: tuple[Shrink, ...] = ()
    """Those that it met before it looked at checks that were not read: an instance that is held may lack its."""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A template that cannot render with what is known. Its file stays as it is."""

    template: str
    reason: str
    """`RenderError`'s text."""
    reads: frozenset[Query]


Resolution: TypeAlias = Rendering | Missing | Failed
