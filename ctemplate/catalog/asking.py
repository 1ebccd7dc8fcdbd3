"""How a catalog says that it does not know what a query's options ask for."""

from __future__ import annotations

from ctemplate.errors import Refused
from ctemplate.model import Query


def refuse_options(query: Query, *names: str, by: str) -> None:
    """Raise `Refused` where `query` sets one of its options `names` (`dc`, `near`, `filter`), which `by` has not."""
    for name in names:
        if getattr(query, name):
            raise Refused(f"{query}: {by} cannot answer `{name}`; leave it out, or select in the template")
