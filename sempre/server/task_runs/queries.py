"""Task runs in the database: reading them, and the changes that are no transitions."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.sorting import TaskRunSort
from sempre.server import lists
from sempre.server.filters.relations import Filters, on_task_runs

__all__ = ["find", "find_by_key", "page", "rename", "total"]

_run = tables.task_run.c

_ORDER: dict[TaskRunSort, Any] = {
    TaskRunSort.ID_DESC: _run.id.desc(),
    TaskRunSort.EXPECTED_START_TIME_ASC: _run.expected_start_time.asc(),
    TaskRunSort.EXPECTED_START_TIME_DESC: _run.expected_start_time.desc(),
    TaskRunSort.NAME_ASC: _run.name.asc(),
    TaskRunSort.NAME_DESC: _run.name.desc(),
    TaskRunSort.NEXT_SCHEDULED_START_TIME_ASC: _run.next_scheduled_start_time.asc(),
    TaskRunSort.END_TIME_DESC: _run.end_time.desc(),
}


async def find(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    """The run, as ``rows.to_wire`` takes it."""
    return await db.fetchrow(
        "SELECT t.*, clock_timestamp() AS now FROM task_run t WHERE workspace_id = $1 AND id = $2", workspace_id, id
    )


async def find_by_key(
    db: Executor, workspace_id: UUID, flow_run_id: UUID | None, task_key: str, dynamic_key: str
) -> Record | None:
    """The run with this natural key, as ``rows.to_wire`` takes it."""
    # Two indexes, two texts: with and without a flow run.
    belongs = "flow_run_id IS NULL AND $4::uuid IS NULL" if flow_run_id is None else "flow_run_id = $4"
    return await db.fetchrow(
        f"""
        SELECT t.*, clock_timestamp() AS now FROM task_run t
        WHERE workspace_id = $1 AND task_key = $2 AND dynamic_key = $3 AND {belongs}
        """,
        workspace_id,
        task_key,
        dynamic_key,
        flow_run_id,
    )


async def page(
    db: Executor, workspace_id: UUID, filters: Filters, *, sort: TaskRunSort, limit: int, offset: int
) -> list[Record]:
    """Matching runs, sorted (ties by id), as ``rows.to_wire`` takes them."""
    query = (
        select(tables.task_run, func.clock_timestamp().label("now"))
        .where(on_task_runs(filters, workspace_id))
        .order_by(_ORDER[sort], _run.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return await lists.fetch(db, query)


async def total(db: Executor, workspace_id: UUID, filters: Filters) -> int:
    return await lists.count(db, select(_run.id).where(on_task_runs(filters, workspace_id)))


async def rename(db: Executor, workspace_id: UUID, id: UUID, name: str | None) -> bool:
    """Give the run a name (``None``: it keeps its own). Whether it exists."""
    status = await db.execute(
        """
        UPDATE task_run SET name = coalesce($3, name), updated = clock_timestamp()
        WHERE workspace_id = $1 AND id = $2
        """,
        workspace_id,
        id,
        name,
    )
    return status != "UPDATE 0"
