"""A query as Consul's HTTP API puts it: which path, which parameters, and how its answer is read.

One row a kind, nothing on polling or sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import quote

import msgspec

from ctemplate.catalog.consul import records
from ctemplate.errors import Refused
from ctemplate.model import Answer, Kind, Query


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One query on the wire."""

    path: str
    decode: Callable[..., Answer]
    """From the body of `path`, then that of `beside`, to the answer. Raises `msgspec.DecodeError`."""
    rule: str
    """The ACL rule that a token needs, for whoever reads a 403."""
    params: Mapping[str, str] = msgspec.field(default_factory=dict)
    beside: str = ""
    """Read right after `path`, never parked."""
    absent: Answer | None = None
    """What a 404 means where Consul says so of its own knowledge; None where it means nothing."""
    blocking: bool = True
    """Whether the endpoint takes `index` and answers with `X-Consul-Index`."""
    partial_is_wrong: bool = False
    """Whether an answer that Consul filtered by ACLs would be a wrong one. A listing may be filtered on purpose."""


SERVICES = "/v1/catalog/services"
NOWHERE = {"node-meta": "none:none"}
"""Of `SERVICES`: those on nodes that there are not. It costs the agent nothing, and its index moves with whatever is
registered anywhere, and with nodes."""
NODES = "/v1/catalog/nodes"
CHECKS_WRITTEN = "/v1/health/state/-"
"""The checks of a status that there is not: wakes whenever any check is written, and costs the agent nothing."""
ALL_CHECKS = "/v1/health/state/any"
UNTOLD = 'Status != "passing" and Status != "critical" and Status != "warning"'
"""The filter for checks of a status that Consul does not document. Of 50,000 checks its agent finds them in 40 ms."""
NODE_READ = 'node_prefix "" { policy = "read" }'


def _service(query: Query) -> Question:
    return Question(
        path=f"/v1/health/service/{_segment(query)}",
        decode=partial(records.instances, keep_order=bool(query.near)),
        rule=f'service "{query.name}" {{ policy = "read" }} and {NODE_READ}',
        partial_is_wrong=True,
    )


def _services(_: Query) -> Question:
    return Question(
        path=SERVICES,
        decode=records.services,
        rule=f'service_prefix "" {{ policy = "read" }} and {NODE_READ}',
    )


def _nodes(query: Query) -> Question:
    return Question(path=NODES, decode=partial(records.nodes, keep_order=bool(query.near)), rule=NODE_READ)


def _node(query: Query) -> Question:
    return Question(
        path=f"/v1/catalog/node/{_segment(query)}",
        beside=f"/v1/health/node/{_segment(query)}",
        decode=records.node,
        rule=f'node "{query.name}" {{ policy = "read" }} and service_prefix "" {{ policy = "read" }}',
    )


def _datacenters(_: Query) -> Question:
    return Question(path="/v1/catalog/datacenters", decode=records.datacenters, rule=NODE_READ, blocking=False)


def _key(query: Query) -> Question:
    return Question(
        path=f"/v1/kv/{quote(query.name.lstrip('/'), safe='/')}",
        decode=records.value,
        absent=Answer(None),
        rule=f'key "{query.name}" {{ policy = "read" }}',
        partial_is_wrong=True,
    )


def _keys(query: Query) -> Question:
    # The folder, not the prefix: "app" must not take in the keys of "apple".
    folder = f"{query.name.strip('/')}/" if query.name.strip("/") else ""
    return Question(
        path=f"/v1/kv/{quote(folder, safe='/')}",
        params={"recurse": ""},
        decode=partial(records.tree, prefix=folder),
        absent=Answer(()),
        rule=f'key_prefix "{folder}" {{ policy = "read" }}',
    )


_QUESTIONS: Mapping[Kind, Callable[[Query], Question]] = {
    Kind.SERVICE: _service,
    Kind.SERVICES: _services,
    Kind.NODES: _nodes,
    Kind.NODE: _node,
    Kind.DATACENTERS: _datacenters,
    Kind.KEY: _key,
    Kind.KEYS: _keys,
}


def question(query: Query) -> Question:
    """Return how to ask Consul for `query`. Raises `Refused` for what Consul cannot be asked."""
    ask = _QUESTIONS.get(query.kind)
    if ask is None:
        raise Refused(f"Consul has no {query.kind}")
    return ask(query)


def parameters(query: Query) -> dict[str, str]:
    """Return the parameters that every kind takes."""
    return {name: text for name, text in (("dc", query.dc), ("near", query.near), ("filter", query.filter)) if text}


def _segment(query: Query) -> str:
    if query.name in ("", ".", ".."):
        raise Refused(f"{query} names no {query.kind}")
    return quote(query.name, safe="")
