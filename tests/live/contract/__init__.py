"""The contract of the catalogs' seam (ctemplate/catalog/base.py), tried on every catalog by one suite.

To add a catalog:

1. Write `contract/NAME.py` with a function `open_server(request)`: a context manager that starts the real server (or
   the fault model of one) and yields a `Server`. `request` is pytest's: `request.getfixturevalue("free_port")` and
   the like. It is started once for all tests; after each one `clear` brings it back to its first state.
2. Add NAME to `CATALOGS` below. Run `pytest tests/live/contract -k NAME`.

A server behind TCP or a unix socket inherits `Wired`, which gives it `spoil` and what else a wire can do. What a
catalog cannot be made to do is `pytest.skip("why")` in the method.
"""

from __future__ import annotations

import os
from typing import Protocol

from ctemplate.settings import CatalogSource, Consul

CATALOGS = ("file", "smartstack", "consul", "docker", "eureka", "etcd", "zookeeper")
"""Each a module of this package."""
if os.environ.get("CTEMPLATE_EUREKA_JAR"):  # `make test-eureka`: too slow for every day
    CATALOGS = (*CATALOGS, "eureka_server")

SERVICE = "web"
"""The one service that the suite asks for."""


class Server(Protocol):
    """One catalog's server. Every method blocks until what it says is done; the suite calls them in a thread.

    An instance is known by its port alone, since not every catalog lets one choose ids and addresses.
    """

    consul: Consul
    """The `[consul]` settings to open it with; `Consul()` for the others."""
    several: int
    """How many instances make an answer longer than `spoil` lets through: a dozen is enough for small records."""

    def source(self) -> CatalogSource:
        """Return how the suite opens the catalog, with what makes it quick: short intervals, a short lease."""
        ...

    def put(self, id: str, port: int) -> None:
        """Register an instance of `SERVICE`, healthy, or give the one that has this `id` another port."""
        ...

    def put_bad(self, id: str) -> None:
        """Register an instance of `SERVICE` whose address or port cannot be one and holds the text `BAD`."""
        ...

    def remove(self, id: str) -> None:
        """Deregister an instance of `SERVICE`."""
        ...

    def kill(self) -> None:
        """End the server as a power failure would."""
        ...

    def start(self) -> None:
        """Start it after `kill`, at the same address, with what it held before."""
        ...

    def restart_empty(self) -> None:
        """End it and start it at the same address with nothing in it."""
        ...

    def freeze(self) -> None:
        """Let it take connections and answer nothing (SIGSTOP)."""
        ...

    def thaw(self) -> None:
        """Let it go on."""
        ...

    def part(self) -> None:
        """Let the network lose everything between us, in both directions, while nobody closes anything."""
        ...

    def join(self) -> None:
        """End what `part` began."""
        ...

    def spoil(self) -> None:
        """From now on let every answer with `several` instances break off half way, or one of its parts fail."""
        ...

    def mend(self) -> None:
        """End what `spoil` began."""
        ...

    def stranger(self) -> tuple[CatalogSource, Consul]:
        """Return how someone opens the catalog who may not read; the credentials used, if any, are `BAD`."""
        ...

    def connections(self) -> int:
        """How many connections ctemplate holds, as seen from the other side."""
        ...

    def clear(self) -> None:
        """Running and empty again, whatever a test did."""
        ...


BAD = "un1x:b4d"
"""What no log and no error may show."""
