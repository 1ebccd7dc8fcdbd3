"""How often status.json is written while it always has news."""

from __future__ import annotations

import asyncio

import pytest

from ctemplate.engine import status_file
from ctemplate.engine.status_file import StatusFile
from ctemplate.observe.status import Status


class Recorder:
    """In the place of the state directory: how often it was written."""

    written = 0

    def write_status(self, status: bytes) -> None:
        self.written += 1


@pytest.mark.parametrize(("max_age", "often"), [(0.0, False), (0.04, True)], ids=["no max_age", "max_age"])
def test_where_data_may_grow_too_old_that_they_no_longer_are_is_noted_before_they_are_again(
    monkeypatch: pytest.MonkeyPatch, max_age: float, often: bool
) -> None:
    """However dear a status is. It rests longer where nobody set a bound."""
    monkeypatch.setattr(status_file, "REST", 1e12)
    monkeypatch.setattr(status_file, "STATUS_SECONDS", 0.001)
    state = Recorder()
    status = Status(version="1", pid=1, started=0.0, written=0.0, protection="", templates=(), catalogs=())

    async def story() -> None:
        file = StatusFile(
            state,  # type: ignore[arg-type]  # all of it that is used
            collect=lambda: status,
            written=lambda: file.wake(),
            max_age=lambda: max_age,
            emit=pytest.fail,
        )
        file.wake()
        running = asyncio.create_task(file.run())
        await asyncio.sleep(0.5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(story())
    assert (state.written > 2) is often
