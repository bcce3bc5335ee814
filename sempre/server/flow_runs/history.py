"""``/flow_runs/history`` and ``/flow_runs/lateness``: many runs in a few numbers."""

from typing import Annotated

from fastapi import Body
from sqlalchemy import func, select
from starlette.responses import Response

from sempre.db import tables
from sempre.db.compile import compiled
from sempre.schemas.base import DateTime, Duration
from sempre.schemas.filters.deployments import DeploymentFilter
from sempre.schemas.filters.flow_runs import FlowRunFilter
from sempre.schemas.filters.flows import FlowFilter
from sempre.schemas.filters.task_runs import TaskRunFilter
from sempre.schemas.filters.work_pools import WorkPoolFilter, WorkQueueFilter
from sempre.schemas.responses import HistoryResponse
from sempre.server.estimates import lateness as lateness_of
from sempre.server.filters.relations import Filters, on_flow_runs
from sempre.server.history import intervals_of, read_history
from sempre.server.responses import JSON
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep

__all__ = ["router"]

router = Room(prefix="/flow_runs", tags=["Flow Runs"])


@router.post("/history", response_model=list[HistoryResponse])
async def history(
    scope: ScopeDep,
    history_start: Annotated[DateTime, Body()],
    history_end: Annotated[DateTime, Body()],
    history_interval_seconds: Annotated[Duration, Body()],
    flows: FlowFilter | None = None,
    flow_runs: FlowRunFilter | None = None,
    task_runs: TaskRunFilter | None = None,
    deployments: DeploymentFilter | None = None,
    work_pools: WorkPoolFilter | None = None,
    work_queues: WorkQueueFilter | None = None,  # the protocol's name of it in this call alone
) -> Response:
    """The runs that match by the interval in which they were expected to start, and by state."""
    intervals = intervals_of(history_start, history_end, history_interval_seconds)
    filters = Filters(flows, flow_runs, task_runs, deployments, work_pools, work_queues)
    condition = on_flow_runs(filters, scope.workspace_id)
    return JSON(await read_history(scope.db, tables.flow_run, condition, intervals))


@router.post("/lateness")
async def lateness(
    scope: ScopeDep,
    flows: FlowFilter | None = None,
    flow_runs: FlowRunFilter | None = None,
    task_runs: TaskRunFilter | None = None,
    deployments: DeploymentFilter | None = None,
    work_pools: WorkPoolFilter | None = None,
    work_pool_queues: WorkQueueFilter | None = None,
) -> float | None:
    """Mean lateness in seconds of the runs that match (those on time count as 0); null if there are none."""
    filters = Filters(flows, flow_runs, task_runs, deployments, work_pools, work_pool_queues)
    runs = tables.flow_run
    sql, arguments = compiled(
        select(func.avg(lateness_of(runs.c))).select_from(runs).where(on_flow_runs(filters, scope.workspace_id))
    )
    mean: float | None = await scope.db.fetchval(sql, *arguments)
    return mean
