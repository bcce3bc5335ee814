# Made from sempre/client/calls/work_queues.py by scripts/sync_client.py: change that file.
"""Work queues."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sempre.client import models
from sempre.client.bodies import Given, body_of, filters, path_part
from sempre.client.errors import ObjectAlreadyExists
from sempre.client.sync_calls.base import SyncCalls

__all__ = ["SyncWorkQueueCalls"]


class SyncWorkQueueCalls(SyncCalls):
    def create_work_queue(
        self, name: str, work_pool_name: str | None = None, **fields: Any
    ) -> models.WorkQueueResponse:
        """Create a queue, in a pool or in the default one. `fields` are those of
        `sempre.schemas.work_pools.WorkQueueCreate`. ObjectAlreadyExists if there is one of this name."""
        path = f"/work_pools/{path_part(work_pool_name)}/queues" if work_pool_name else "/work_queues/"
        try:
            return self._one(models.WorkQueueResponse, "POST", path, body_of(name=name, **fields))
        except ObjectAlreadyExists as error:
            if not error.repeated:
                raise
            return self.read_work_queue_by_name(name, work_pool_name)

    def read_work_queue(self, id: UUID | str) -> models.WorkQueueResponse:
        return self._one(models.WorkQueueResponse, "GET", f"/work_queues/{path_part(id)}")

    def read_work_queue_by_name(self, name: str, work_pool_name: str | None = None) -> models.WorkQueueResponse:
        where = f"/work_pools/{path_part(work_pool_name)}/queues" if work_pool_name else "/work_queues/name"
        return self._one(models.WorkQueueResponse, "GET", f"{where}/{path_part(name)}")

    def read_work_queues(
        self,
        work_pool_name: str | None = None,
        work_queue_filter: Given | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[models.WorkQueueResponse]:
        """The queues of a pool, or of all."""
        where = f"/work_pools/{path_part(work_pool_name)}/queues" if work_pool_name else "/work_queues"
        body = body_of(filters(work_queues=work_queue_filter), limit=limit, offset=offset)
        return self._many(models.WorkQueueResponse, "POST", f"{where}/filter", body)

    def match_work_queues(
        self, prefixes: Iterable[str], work_pool_name: str | None = None
    ) -> list[models.WorkQueueResponse]:
        """The queues whose names begin with one of the prefixes."""
        starts = tuple(prefixes)
        found: list[models.WorkQueueResponse] = []
        while True:
            page = self.read_work_queues(work_pool_name, offset=len(found))
            found.extend(page)
            if not page:
                return [queue for queue in found if queue.name.startswith(starts)]

    def update_work_queue(self, id: UUID | str, **fields: Any) -> None:
        """Change what is given, by the fields of `sempre.schemas.work_pools.WorkQueueUpdate`."""
        self._request("PATCH", f"/work_queues/{path_part(id)}", body_of(**fields))

    def delete_work_queue_by_id(self, id: UUID | str) -> None:
        self._delete(f"/work_queues/{path_part(id)}")

    def get_runs_in_work_queue(
        self, id: UUID | str, limit: int = 10, scheduled_before: Any = None
    ) -> list[models.FlowRunResponse]:
        """Runs of a queue that are due before a time."""
        body = body_of(limit=limit, scheduled_before=scheduled_before)
        return self._many(models.FlowRunResponse, "POST", f"/work_queues/{path_part(id)}/get_runs", body)

    def read_work_queue_status(self, id: UUID | str) -> models.WorkQueueStatusDetail:
        """Whether runs are late and somebody polls."""
        return self._one(models.WorkQueueStatusDetail, "GET", f"/work_queues/{path_part(id)}/status")

    def read_work_queue_concurrency_status(
        self, id: UUID | str, page: int = 1, limit: int | None = None
    ) -> models.WorkQueueConcurrencyStatus:
        """Which runs hold the queue's slots."""
        body = body_of(page=page, limit=limit)
        return self._one(
            models.WorkQueueConcurrencyStatus, "POST", f"/work_queues/{path_part(id)}/concurrency_status", body
        )
