"""How soon work can be had: from the moment a run is created until a poll of its pool brings it, and until a worker
with an open channel is told. A part of `python -m benchmarks reaction`.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from sempre.client import Client, get_client
from sempre.client.worker_channel import Hello, WorkerChannel
from sempre.settings import ClientSettings
from sempre.settings.client import ApiSettings

__all__ = ["POLLABLE", "measure"]

POLLABLE = "run created - pollable"
_TOLD = "run created - worker told"
_POOL = "bench"
_PATIENCE = 30.0  # seconds for the news of one run


class _Moment:
    """When something came first since it was last awaited."""

    def __init__(self) -> None:
        self._came: asyncio.Future[datetime] = asyncio.get_running_loop().create_future()

    def now(self) -> None:
        if not self._came.done():
            self._came.set_result(datetime.now(UTC))

    async def since(self, then: datetime) -> float:
        """Milliseconds, once it has come."""
        async with asyncio.timeout(_PATIENCE):
            return (await self._came - then).total_seconds() * 1000

    def again(self) -> None:
        self._came = asyncio.get_running_loop().create_future()


async def measure(url: str, home: Path, runs: int, every: float) -> dict[str, list[float]]:
    """Milliseconds for each of `runs` runs, created one at a time, `every` seconds apart, for a pool that one worker
    polls without a pause and another hears of."""
    settings = ClientSettings(home=home, api=ApiSettings(url=url))
    async with get_client(settings=settings) as client:
        await client.create_work_pool({"name": _POOL, "type": "process"})
        flow_id = await client.create_flow_from_name("availability")
        deployment_id = await client.create_deployment(flow_id, "availability", work_pool_name=_POOL)
        polled, told = _Moment(), _Moment()
        hello = Hello(work_pool_name=_POOL, worker_name="idle", worker_type="process")
        channel = WorkerChannel(hello, on_pool=lambda pool: None, on_work=told.now, settings=settings)
        workers = [asyncio.create_task(channel.run()), asyncio.create_task(_poll(client, polled))]
        try:
            await told.since(datetime.now(UTC))  # the channel is open
            return await _each(client, deployment_id, runs, every, polled, told)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)


async def _each(
    client: Client, deployment_id: UUID, runs: int, every: float, polled: _Moment, told: _Moment
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {POLLABLE: [], _TOLD: []}
    for _ in range(runs):
        await asyncio.sleep(every)
        polled.again()
        told.again()
        run = await client.create_flow_run_from_deployment(deployment_id)
        assert run.created is not None
        found[POLLABLE].append(await polled.since(run.created))
        found[_TOLD].append(await told.since(run.created))
        await client.delete_flow_run(run.id)
    return found


async def _poll(client: Client, polled: _Moment) -> None:
    seen: set[UUID] = set()
    while True:
        new = {found.flow_run.id for found in await client.get_scheduled_flow_runs_for_work_pool(_POOL)} - seen
        if new:
            polled.now()
            seen |= new
