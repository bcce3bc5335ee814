"""What the pages of a UI count and list, one statement each."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, func, or_, select

from sempre.core.states import TERMINAL
from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.lists import ListCall
from sempre.schemas.sorting import FlowRunSort
from sempre.server import lists
from sempre.server.filters.relations import FLOW_RUNS, TASK_RUNS, matching
from sempre.server.lists import Part

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
        SELECT next.* FROM unnest($2::uuid[]) WITH ORDINALITY AS asked(flow_id, place) CROSS JOIN LATERAL (
            SELECT id, flow_id, name, state_name, state_type, next_scheduled_start_time FROM flow_run
            WHERE workspace_id = $1 AND flow_id = asked.flow_id AND state_type = 'SCHEDULED'
                AND next_scheduled_start_time IS NOT NULL
            ORDER BY next_scheduled_start_time, id LIMIT 1
        ) next
        ORDER BY asked.place
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


async def history(db: Executor, workspace_id: UUID, asked: ListCall, sort: FlowRunSort, part: Part) -> list[Record]:
    """The columns of runs that their times and estimates come from."""
    c = _run.c
    chosen = lists.first(_run, and_(matching(FLOW_RUNS, asked, workspace_id), c.state_type.is_not(None)), sort, part)
    columns = (c.id, c.state_type, c.state_timestamp, c.start_time, c.expected_start_time, c.total_run_time)
    query = (
        select(*columns, func.now().label("now"))
        .select_from(chosen.join(_run, c.id == chosen.c.id))
        .order_by(*lists.order(sort, c))
    )
    return await lists.fetch(db, query)


async def task_runs_by_state(db: Executor, workspace_id: UUID, asked: ListCall) -> list[Record]:
    """``state_type`` and ``count`` of the types there are."""
    query = (
        select(_task.c.state_type, func.count().label("count"))
        .where(matching(TASK_RUNS, asked, workspace_id), _task.c.state_type.is_not(None))
        .group_by(_task.c.state_type)
    )
    return await lists.figures(db, query)


async def finished_task_runs(
    db: Executor, workspace_id: UUID, asked: ListCall, start: datetime, end: datetime
) -> list[Record]:
    """Task runs that started in the window and are over: ``bucket`` (from 1), how many ``completed`` and ``failed``."""
    seconds = func.extract("epoch", _task.c.start_time)
    bucket = func.width_bucket(seconds, start.timestamp(), end.timestamp(), BUCKETS).label("bucket")
    failed = _task.c.state_type.in_(("FAILED", "CRASHED"))
    query = (
        select(
            bucket,
            func.count().filter(~failed).label("completed"),
            func.count().filter(failed).label("failed"),
        )
        .where(
            matching(TASK_RUNS, asked, workspace_id),
            or_(*(_task.c.state_type == type.value for type in sorted(TERMINAL))),
            and_(_task.c.start_time >= start, _task.c.start_time < end),
        )
        .group_by(bucket)
    )
    return await lists.figures(db, query)


async def name_of_flow_run(db: Executor, workspace_id: UUID, id: UUID) -> str | None:
    name: str | None = await db.fetchval(
        "SELECT name FROM flow_run WHERE id = $1 AND workspace_id = $2", id, workspace_id
    )
    return name
