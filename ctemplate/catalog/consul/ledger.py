"""The answers that all watches of services share, and who waits for the next. It asks and decides nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Set

from ctemplate.catalog.consul.dirt import instances_of
from ctemplate.catalog.ending import Ending
from ctemplate.errors import CatalogError
from ctemplate.model import PASSING, Answer


class Ledger:
    """What is known of each wanted service, by its name in lower case, as Consul looks it up."""

    def __init__(self, *, wanted: Callable[[str], None], deserted: Callable[[], None]) -> None:
        """`wanted` is told of each name when its first watch begins; `deserted` is called when the last of all ends."""
        self._tell_wanted = wanted
        self._deserted = deserted
        self._watches: Counter[str] = Counter()
        self._answers: dict[str, Answer] = {}
        self._ill: set[str] = set()
        """Names of which the answer has an instance that does not pass; some may have no answer any more."""
        self._faults: dict[str, Ending] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._ended: Ending | None = None

    @property
    def names(self) -> set[str]:
        """Everything that is wanted."""
        return set(self._watches)

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What is known."""
        return self._answers

    def __contains__(self, name: str) -> bool:
        return name in self._watches

    def __len__(self) -> int:
        return len(self._watches)

    async def follow(self, name: str) -> AsyncGenerator[Answer, None]:
        """Yield the answer for `name` once it is known, then each that differs. Raises what was noted as its fault."""
        name = name.lower()
        self._watches[name] += 1
        if self._faults.pop(name, None) or self._watches[name] == 1:
            self._tell_wanted(name)
        seen: Answer | None = None
        try:
            while True:
                answer = self._answers.get(name)
                if answer is not None and answer is not seen:
                    seen = answer
                    yield answer
                elif self._ended is not None:
                    raise self._ended.again()
                elif name in self._faults:
                    raise self._faults[name].again()
                else:
                    future = asyncio.get_running_loop().create_future()
                    waiting = self._waiting.setdefault(name, [])
                    waiting.append(future)
                    try:
                        await future
                    except asyncio.CancelledError:
                        waiting.remove(future)
                        raise
        finally:
            self._watches[name] -= 1
            if not self._watches[name]:
                del self._watches[name]
                self._answers.pop(name, None)
                self._faults.pop(name, None)
                self._waiting.pop(name, None)
            if not self._watches:
                self._deserted()

    def put(self, name: str, answer: Answer) -> bool:
        """Note what a complete read said; tells whether it differs from what was known."""
        if name not in self._watches or self._answers.get(name) == answer:
            return False
        self._faults.pop(name, None)
        self._answers[name] = answer
        if any(instance.status != PASSING for instance in instances_of(answer)):
            self._ill.add(name)
        else:
            self._ill.discard(name)
        self._wake(name)
        return True

    def with_ill(self, places: Set[tuple[str, str]]) -> set[str]:
        """Return the names of which the answer has an instance at one of `places` that does not pass.

        Each is a node and the id of an instance, in lower case.
        """
        if not places:
            return set()
        self._ill &= self._answers.keys()
        return {
            name
            for name in self._ill
            for i in instances_of(self._answers[name])
            if i.status != PASSING and (i.node.lower(), i.id.lower()) in places
        }

    def refuse(self, name: str, fault: CatalogError) -> None:
        """Note that `name` alone cannot be read: its watches end, the others go on."""
        if name not in self._watches:
            return
        self._answers.pop(name, None)
        self._faults[name] = Ending(fault)
        self._wake(name)

    def end(self, fault: Exception) -> None:
        """End every watch with `fault`."""
        self._ended = Ending(fault)
        for name in list(self._waiting):
            self._wake(name)

    def _wake(self, name: str) -> None:
        for future in self._waiting.pop(name, ()):
            if not future.done():
                future.set_result(None)
