"""How much is taken, and when it is looked for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from sempre.client.errors import ApiUnreachable
from sempre.schemas.flow_runs import FlowRun
from sempre.sdk.serving.dispatcher import Dispatcher
from sempre.sdk.serving.keeper import RunKeeper


class Keeper:
    """Keeps nothing but the ids."""

    def __init__(self) -> None:
        self.taken: dict[UUID, Any] = {}
        self.not_to_be_had: set[UUID] = set()

    def take(self, run: FlowRun) -> None:
        self.taken[run.id] = run

    def refused(self) -> set[UUID]:
        return self.not_to_be_had


class Pool:
    """Due runs, the lowest ids first."""

    def __init__(self, count: int, keeper: Keeper) -> None:
        self.keeper = keeper
        self.runs = [UUID(int=number) for number in range(count)]
        self.asked: list[int | None] = []
        self.away = False
        self.looked = asyncio.Event()

    async def due(self, most: int | None) -> Sequence[FlowRun]:
        self.asked.append(most)
        self.looked.set()
        if self.away:
            raise ApiUnreachable("away")
        waiting = [id for id in self.runs if id not in self.keeper.taken]
        return cast(Sequence[FlowRun], [SimpleNamespace(id=id) for id in waiting[:most]])

    async def next_look(self) -> None:
        self.looked.clear()
        await asyncio.wait_for(self.looked.wait(), 60)


async def _playing(pool: Pool, keeper: Keeper, limit: int | None, interval: float = 600) -> tuple[Dispatcher, Any]:
    dispatcher = Dispatcher(pool.due, limit=limit, interval=interval)
    task = asyncio.ensure_future(dispatcher.run(cast(RunKeeper, keeper)))
    await pool.next_look()
    await asyncio.sleep(0)
    return dispatcher, task


def test_never_more_than_the_limit_and_the_next_as_soon_as_there_is_room() -> None:
    async def play() -> None:
        keeper = Keeper()
        pool = Pool(5, keeper)
        dispatcher, task = await _playing(pool, keeper, 2)
        assert set(keeper.taken) == set(pool.runs[:2])
        dispatcher.wake()
        await pool.next_look()
        assert len(keeper.taken) == 2
        assert pool.asked == [2, 1], "without room too it says that it is there"
        pool.runs.remove(done := next(iter(keeper.taken)))
        del keeper.taken[done]
        dispatcher.freed()
        await pool.next_look()
        await asyncio.sleep(0)
        assert len(keeper.taken) == 2
        dispatcher.stop()
        await asyncio.wait_for(task, 60)

    asyncio.run(play())


def test_what_is_refused_holds_up_nobody() -> None:
    async def play() -> None:
        keeper = Keeper()
        pool = Pool(3, keeper)
        keeper.not_to_be_had = {pool.runs[0]}
        dispatcher, task = await _playing(pool, keeper, 1)
        assert set(keeper.taken) == {pool.runs[1]}
        dispatcher.stop()
        await asyncio.wait_for(task, 60)

    asyncio.run(play())


def test_failures_are_outlived() -> None:
    async def play() -> None:
        keeper = Keeper()
        pool = Pool(1, keeper)
        pool.away = True
        dispatcher, task = await _playing(pool, keeper, None, 0.01)
        while len(pool.asked) < 5:
            await pool.next_look()
        assert not keeper.taken
        assert not dispatcher.is_stale
        pool.away = False
        await pool.next_look()
        await asyncio.sleep(0)
        assert set(keeper.taken) == set(pool.runs)
        dispatcher.stop()
        await asyncio.wait_for(task, 60)

    asyncio.run(play())
