"""One request where several ask the same at the same moment: a template's listing of services is a sentinel's, too."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")


class Joining(Generic[_T]):
    """What is being asked, by whatever makes two questions the same."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, asyncio.Task[_T]] = {}
        self._waiting: Counter[asyncio.Task[_T]] = Counter()

    async def ask(self, key: Hashable, request: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Return what `request()` returns, or what the same request that is under way will, and raise what it raises.

        It is cancelled with the last of those who wait for it.
        """
        task = self._asked.get(key)
        if task is None:
            task = self._asked[key] = asyncio.create_task(request(), name=f"asks {key}")
        self._waiting[task] += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[task] -= 1
            if not self._waiting[task]:
                del self._waiting[task]
                if self._asked.get(key) is task:
                    del self._asked[key]
                if not task.done():
                    task.cancel()
                    await asyncio.wait([task])
