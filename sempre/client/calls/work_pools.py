"""Work pools and their workers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sempre.client import models
from sempre.client.bodies import Given, body_of, filters, path_part
from sempre.client.calls.base import Calls
from sempre.client.errors import ObjectAlreadyExists

__all__ = ["WorkPoolCalls"]


class WorkPoolCalls(Calls):
    async def create_work_pool(self, work_pool: Given, overwrite: bool = False) -> models.WorkPoolResponse:
        """Create a pool from a `WorkPoolCreate`. ObjectAlreadyExists if there is one of this name, unless
        `overwrite` has it changed."""
        body = body_of(work_pool)
        try:
            return await self._one(models.WorkPoolResponse, "POST", "/work_pools/", body)
        except ObjectAlreadyExists as error:
            if overwrite:
                await self.update_work_pool(
                    body["name"], {key: value for key, value in body.items() if key not in ("name", "type")}
                )
            elif not error.repeated:
                raise
            return await self.read_work_pool(body["name"])

    async def read_work_pool(self, work_pool_name: str) -> models.WorkPoolResponse:
        return await self._one(models.WorkPoolResponse, "GET", f"/work_pools/{path_part(work_pool_name)}")

    async def read_work_pools(
        self, limit: int | None = None, offset: int = 0, work_pool_filter: Given | None = None
    ) -> list[models.WorkPoolResponse]:
        body = body_of(filters(work_pools=work_pool_filter), limit=limit, offset=offset)
        return await self._many(models.WorkPoolResponse, "POST", "/work_pools/filter", body)

    async def count_work_pools(self, work_pool_filter: Given | None = None) -> int:
        return int(await self._value("POST", "/work_pools/count", filters(work_pools=work_pool_filter)))

    async def update_work_pool(self, work_pool_name: str, work_pool: Given | None = None, **fields: Any) -> None:
        """Change what is given, as `sempre.schemas.work_pools.WorkPoolUpdate` or by its fields."""
        await self._request("PATCH", f"/work_pools/{path_part(work_pool_name)}", body_of(work_pool, **fields))

    async def delete_work_pool(self, work_pool_name: str) -> None:
        await self._delete(f"/work_pools/{path_part(work_pool_name)}")

    async def read_work_pool_concurrency_status(
        self, work_pool_name: str, page: int = 1, limit: int | None = None, flow_run_limit: int = 10
    ) -> models.WorkPoolConcurrencyStatus:
        """Which runs hold the pool's slots, queue by queue."""
        body = body_of(page=page, limit=limit, flow_run_limit=flow_run_limit)
        path = f"/work_pools/{path_part(work_pool_name)}/concurrency_status"
        return await self._one(models.WorkPoolConcurrencyStatus, "POST", path, body)

    async def get_scheduled_flow_runs_for_work_pool(
        self,
        work_pool_name: str,
        work_queue_names: Iterable[str] | None = None,
        scheduled_before: Any = None,
        limit: int | None = None,
    ) -> list[models.WorkerFlowRunResponse]:
        """Runs of a pool, or of some of its queues, that are due before a time: what a worker may start."""
        names = None if work_queue_names is None else list(work_queue_names)
        body = body_of(work_queue_names=names, scheduled_before=scheduled_before, limit=limit)
        path = f"/work_pools/{path_part(work_pool_name)}/get_scheduled_flow_runs"
        return await self._many(models.WorkerFlowRunResponse, "POST", path, body)

    async def send_worker_heartbeat(
        self, work_pool_name: str, worker_name: str, heartbeat_interval_seconds: float | None = None
    ) -> UUID | None:
        """Say that a worker lives. Returns the worker's id where the server tells it."""
        body = body_of(name=worker_name, heartbeat_interval_seconds=heartbeat_interval_seconds)
        answer = await self._value("POST", f"/work_pools/{path_part(work_pool_name)}/workers/heartbeat", body)
        return UUID(answer) if isinstance(answer, str) else None

    async def read_workers_for_work_pool(
        self,
        work_pool_name: str,
        worker_filter: Given | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> list[models.WorkerResponse]:
        body = body_of(filters(workers=worker_filter), offset=offset, limit=limit)
        return await self._many(
            models.WorkerResponse, "POST", f"/work_pools/{path_part(work_pool_name)}/workers/filter", body
        )

    async def delete_worker(self, work_pool_name: str, worker_name: str) -> None:
        await self._delete(f"/work_pools/{path_part(work_pool_name)}/workers/{path_part(worker_name)}")
