"""The catalog of template texts, includes and `file()`: editing a template is one more changed answer.

It knows nothing of templates: a name is an absolute path, a value is the text that stands there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from ctemplate.catalog.contents import read_text
from ctemplate.catalog.following import Follower
from ctemplate.errors import Refused
from ctemplate.events import Emit
from ctemplate.model import Answer, Kind, Query


class DiskCatalog:
    """Answers `Kind.TEXT`: the file's text, or None when there is no such file or no directory for it.

    A directory, a file that is not UTF-8 or may not be read is `Unavailable`; one that does not really lie below
    the directories of the query's `filter` is `Refused`.
    """

    def __init__(self, *, emit: Emit) -> None:
        self._follower = Follower(emit=emit, repeats=False)  # nobody asks how old a template's text is

    def watch(self, query: Query) -> AsyncIterator[Answer]:
        """Yield the text, then again after every change of it; see `Catalog`."""
        return self._follower.follow(query, Path(query.name), read=_read)

    async def confirm(self, query: Query) -> Answer:
        """Read the file now."""
        return await asyncio.to_thread(_read, query)

    async def aclose(self) -> None:
        """End every watch and the thread behind them."""
        self._follower.close()

    def describe(self) -> str:
        """Where this catalog is."""
        return "local files"

    def connections(self) -> int:
        """None, ever."""
        return 0


def _read(query: Query) -> Answer:
    if query.kind is not Kind.TEXT or not Path(query.name).is_absolute():
        raise Refused(f"{query}: local files answer only the text of an absolute path")
    roots = tuple(query.filter.split("\n")) if query.filter else ()
    return Answer(value=read_text(Path(query.name), kept="its last text", roots=roots))
