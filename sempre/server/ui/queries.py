"""What the pages of a UI count and list, one statement each."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, or_, select

from sempre.core.states import TERMINAL
from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.filters.work_pools import WorkPoolFilter, WorkQueueFilter
from sempre.schemas.sorting import FlowRunSort
from sempre.server import lists
from sempre.server.filters import resources
from sempre.server.filters.conditions import Condition
from sempre.server.filters.relations import Filters, on_flow_runs, on_task_runs

__all__ = [
    "BUCKETS",
    "deployments_by_flow",
    "finished_task_runs",
    "history",
    "name_of_flow_run",
    "next_run_by_flow",
    "task_runs_by_flow_run",
    "task_runs_by_state",
]

BUCKETS = 20  # bars of the dashboard

_run = tables.flow_run
_task = tables.task_run


async def deployments_by_flow(db: Executor, workspace_id: UUID, flow_ids: list[UUID]) -> list[Record]:
    """``id`` and ``count`` of the flows that have deployments."""
    return await db.fetch(
        """
        SELECT flow_id AS id, count(*) AS count FROM deployment
        WHERE workspace_id = $1 AND flow_id = ANY($2) GROUP BY flow_id
        """,
        workspace_id,
        flow_ids,
    )


async def next_run_by_flow(db: Executor, workspace_id: UUID, flow_ids: list[UUID]) -> list[Record]:
    """Of each flow the scheduled run that comes first."""
    return await db.fetch(
        """
        SELECT DISTINCT ON (flow_id) id, flow_id, name, state_name, state_type, next_scheduled_start_time
        FROM flow_run
        WHERE workspace_id = $1 AND flow_id = ANY($2) AND state_type = 'SCHEDULED'
            AND next_scheduled_start_time IS NOT NULL
        ORDER BY flow_id, next_scheduled_start_time, id
        """,
        workspace_id,
        flow_ids,
    )


async def task_runs_by_flow_run(db: Executor, workspace_id: UUID, flow_run_ids: list[UUID]) -> list[Record]:
    """``id`` and ``count`` of the flow runs that have task runs; those that stand for subflows do not count."""
    return await db.fetch(
        """
        SELECT t.flow_run_id AS id, count(*) AS count FROM task_run t
        WHERE t.workspace_id = $1 AND t.flow_run_id = ANY($2)
            AND NOT EXISTS (SELECT FROM flow_run child WHERE child.parent_task_run_id = t.id)
        GROUP BY t.flow_run_id
        """,
        workspace_id,
        flow_run_ids,
    )


_TIMED = (FlowRunSort.START_TIME_ASC, FlowRunSort.START_TIME_DESC)


async def history(
    db: Executor, workspace_id: UUID, filters: Filters, *, sort: FlowRunSort, limit: int, offset: int
) -> list[Record]:
    """The columns of runs that their times and estimates come from."""
    names = ("id", "state_type", "state_timestamp", "start_time", "expected_start_time", "total_run_time")
    name, _, direction = sort.value.rpartition("_")
    key = func.coalesce(_run.c.start_time, _run.c.expected_start_time) if sort in _TIMED else _run.c[name.lower()]
    query = (
        select(*(_run.c[name] for name in names), func.now().label("now"))
        .where(on_flow_runs(filters, workspace_id), _run.c.state_type.is_not(None))
        .order_by(key.asc() if direction == "ASC" else key.desc(), _run.c.id)
        .limit(limit)
        .offset(offset)
    )
    return await lists.fetch(db, query)


async def task_runs_by_state(db: Executor, workspace_id: UUID, filters: Filters) -> list[Record]:
    """``state_type`` and ``count`` of the types there are."""
    query = (
        select(_task.c.state_type, func.count().label("count"))
        .where(on_task_runs(filters, workspace_id), _task.c.state_type.is_not(None))
        .group_by(_task.c.state_type)
    )
    return await lists.fetch(db, query)


async def finished_task_runs(
    db: Executor,
    workspace_id: UUID,
    filters: Filters,
    queues: tuple[WorkPoolFilter | None, WorkQueueFilter | None],
    start: datetime,
    end: datetime,
) -> list[Record]:
    """Task runs that started in the window and are over: ``bucket`` (from 1), how many ``completed`` and ``failed``."""
    seconds = func.extract("epoch", _task.c.start_time)
    bucket = func.width_bucket(seconds, start.timestamp(), end.timestamp(), BUCKETS).label("bucket")
    failed = _task.c.state_type.in_(("FAILED", "CRASHED"))
    conditions: list[Condition] = [
        on_task_runs(filters, workspace_id),
        or_(*(_task.c.state_type == type.value for type in sorted(TERMINAL))),
        and_(_task.c.start_time >= start, _task.c.start_time < end),
    ]
    if any(filter is not None for filter in queues):
        conditions.append(_in_queue(*queues))
    query = (
        select(
            bucket,
            func.count().filter(~failed).label("completed"),
            func.count().filter(failed).label("failed"),
        )
        .where(*conditions)
        .group_by(bucket)
    )
    return await lists.fetch(db, query)


def _in_queue(work_pools: WorkPoolFilter | None, work_queues: WorkQueueFilter | None) -> Condition:
    run, queue, pool = _run.alias(), tables.work_queue.alias(), tables.work_pool.alias()
    where: list[Any] = [
        run.c.id == _task.c.flow_run_id,
        queue.c.id == run.c.work_queue_id,
        pool.c.id == queue.c.work_pool_id,
    ]
    if work_queues is not None:
        where.append(resources.work_queues(work_queues, queue))
    if work_pools is not None:
        where.append(resources.work_pools(work_pools, pool))
    return select(run.c.id).where(*where).correlate(_task).exists()


async def name_of_flow_run(db: Executor, workspace_id: UUID, id: UUID) -> str | None:
    name: str | None = await db.fetchval(
        "SELECT name FROM flow_run WHERE id = $1 AND workspace_id = $2", id, workspace_id
    )
    return name
