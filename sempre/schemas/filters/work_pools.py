"""Filters on work pools, work queues and workers."""

from uuid import UUID

from sempre.schemas.filters.common import AnyOf, AnyOrNot, Combined, Window
from sempre.schemas.work_pools import WorkerStatus

__all__ = [
    "WorkPoolFilter",
    "WorkPoolFilterId",
    "WorkPoolFilterName",
    "WorkPoolFilterType",
    "WorkQueueFilter",
    "WorkQueueFilterId",
    "WorkQueueFilterName",
    "WorkerFilter",
    "WorkerFilterLastHeartbeatTime",
    "WorkerFilterStatus",
]


class WorkPoolFilterId(AnyOf[UUID]):
    pass


class WorkPoolFilterName(AnyOf[str]):
    pass


class WorkPoolFilterType(AnyOf[str]):
    pass


class WorkPoolFilter(Combined):
    id: WorkPoolFilterId | None = None
    name: WorkPoolFilterName | None = None
    type: WorkPoolFilterType | None = None


class WorkQueueFilterId(AnyOf[UUID]):
    pass


class WorkQueueFilterName(AnyOf[str]):
    """``startswith_``: any of these prefixes, in either case."""

    startswith_: list[str] | None = None


class WorkQueueFilter(Combined):
    id: WorkQueueFilterId | None = None
    name: WorkQueueFilterName | None = None


class WorkerFilterLastHeartbeatTime(Window):
    pass


class WorkerFilterStatus(AnyOrNot[WorkerStatus]):
    pass


class WorkerFilter(Combined):
    last_heartbeat_time: WorkerFilterLastHeartbeatTime | None = None
    status: WorkerFilterStatus | None = None
