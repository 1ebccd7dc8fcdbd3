"""What an answer of Consul that is no answer means, in the words of an operator."""

from __future__ import annotations

from ctemplate.catalog.http import Reply
from ctemplate.errors import CatalogError, Refused, Unavailable

LIMIT_HINT = " (an agent allows limits.http_max_conns_per_client connections from one address, 200 unless set)"
_BAD_FILTER = "boolean expression evaluator"  # Consul 1.8 answers 500 to a filter that it cannot parse
_SAID_CHARACTERS = 300


def fault_of(reply: Reply, where: str, rule: str) -> CatalogError:
    """Return what an answer that is neither 200 nor 404 means."""
    said = " ".join(reply.body[: 4 * _SAID_CHARACTERS].decode("utf-8", "replace").split())[:_SAID_CHARACTERS]
    words = f": {said}" if said else ""
    match reply.status:
        case 403:
            return Refused(f"{where}: 403{words}; the token needs {rule}")
        case 401:
            return Refused(f"{where}: 401{words}; -consul-auth is missing or wrong")
        case 400 | 500 if reply.status == 400 or _BAD_FILTER in said:
            return Refused(f"{where}: {reply.status}{words}; Consul calls the query wrong")
        case 429:
            return Unavailable(f"{where}: 429{words}{LIMIT_HINT}")
        case status if 300 <= status < 400:
            return Refused(f"{where}: {status}; Consul answers no such query with a redirect")
        case status:
            return Unavailable(f"{where}: {status}{words}")
