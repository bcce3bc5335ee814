"""A task worker that stops: nothing is left waiting, and what came too late to be waited for is run all the same."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, Self

import pytest

from sempre.client import scheduled_tasks
from sempre.sdk import background_tasks
from sempre.sdk.background_tasks import _Worker
from sempre.sdk.tasks import task


@task
def work() -> None:
    """Never called: runs are only counted here."""


class NobodyAsks:
    """Subscribed to, and no run comes until the worker has left."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.unclaimed: list[Any] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.unclaimed.append(SimpleNamespace(task_key=work.task_key, id="late"))

    async def next(self) -> Any:
        await asyncio.Event().wait()


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    executed: list[str] = []
    monkeypatch.setattr(scheduled_tasks, "ScheduledTaskRuns", NobodyAsks)
    monkeypatch.setattr(background_tasks, "execute_background_run", lambda task, told: executed.append(told.id))
    return executed


def test_what_came_too_late_is_run(executed: list[str]) -> None:
    async def play() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_soon(stop.set)
        await _Worker([work], 1).run(stop)

    asyncio.run(play())
    assert executed == ["late"]


def test_a_worker_that_is_cancelled_leaves_nothing_waiting(executed: list[str]) -> None:
    async def play() -> set[str]:
        serving = asyncio.ensure_future(_Worker([work], 1).run(asyncio.Event()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await asyncio.sleep(0)  # what was cancelled ends
        return {each.get_name() for each in asyncio.all_tasks() if each is not asyncio.current_task()}

    assert asyncio.run(play()) == set()
