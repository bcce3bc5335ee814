"""Flow runs in the database: reading them, and the changes that are no transitions."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.sql.elements import ColumnElement

from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.sorting import FlowRunSort
from sempre.server import lists
from sempre.server.filters.relations import Filters, on_flow_runs
from sempre.server.flow_runs.statements import SURROUNDING_JOINS, SURROUNDINGS

__all__ = ["find", "find_state", "merge_labels", "page", "state_history", "total", "update"]

_FIND = f"""
SELECT r.*, clock_timestamp() AS now, {SURROUNDINGS}
FROM flow_run r {SURROUNDING_JOINS}
WHERE r.id = $1 AND r.workspace_id = $2
"""

_run = tables.flow_run.c
_queue = tables.work_queue
_pool = tables.work_pool

_STARTED: ColumnElement[Any] = func.coalesce(_run.start_time, _run.expected_start_time)
_ORDER: dict[FlowRunSort, Any] = {
    FlowRunSort.ID_DESC: _run.id.desc(),
    FlowRunSort.START_TIME_ASC: _STARTED.asc(),
    FlowRunSort.START_TIME_DESC: _STARTED.desc(),
    FlowRunSort.EXPECTED_START_TIME_ASC: _run.expected_start_time.asc(),
    FlowRunSort.EXPECTED_START_TIME_DESC: _run.expected_start_time.desc(),
    FlowRunSort.NAME_ASC: _run.name.asc(),
    FlowRunSort.NAME_DESC: _run.name.desc(),
    FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC: _run.next_scheduled_start_time.asc(),
    FlowRunSort.END_TIME_DESC: _run.end_time.desc(),
}


async def find(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    """The run with its surroundings, as ``rows.to_wire`` takes it."""
    return await db.fetchrow(_FIND, id, workspace_id)


async def page(
    db: Executor, workspace_id: UUID, filters: Filters, *, sort: FlowRunSort, limit: int, offset: int
) -> list[Record]:
    """Matching runs, sorted (ties by id), with what ``rows.to_wire`` needs beside the run's own columns."""
    chosen = (
        select(tables.flow_run)
        .where(on_flow_runs(filters, workspace_id))
        .order_by(_ORDER[sort], _run.id.desc())
        .limit(limit)
        .offset(offset)
        .subquery()
    )
    # Names are joined onto the chosen page, not onto everything that is sorted.
    query = (
        select(
            chosen,
            func.clock_timestamp().label("now"),
            _queue.c.name.label("queue_name"),
            _pool.c.id.label("work_pool_id"),
            _pool.c.name.label("work_pool_name"),
        )
        .select_from(
            chosen.outerjoin(_queue, _queue.c.id == chosen.c.work_queue_id).outerjoin(
                _pool, _pool.c.id == _queue.c.work_pool_id
            )
        )
        .order_by(*_same_order(sort, chosen.c))
    )
    return await lists.fetch(db, query)


def _same_order(sort: FlowRunSort, c: Any) -> tuple[Any, ...]:
    name, _, direction = sort.value.rpartition("_")
    column = func.coalesce(c.start_time, c.expected_start_time) if name == "START_TIME" else c[name.lower()]
    return (column.asc() if direction == "ASC" else column.desc(), c.id.desc())


async def total(db: Executor, workspace_id: UUID, filters: Filters) -> int:
    return await lists.count(db, select(_run.id).where(on_flow_runs(filters, workspace_id)))


async def update(db: Executor, workspace_id: UUID, id: UUID, changes: dict[str, Any]) -> bool:
    """Write some of the run's own columns. ``changes`` maps column names (the caller's own list) to values."""
    names = list(changes)
    assignments = ", ".join(f"{name} = ${number}" for number, name in enumerate(names, start=3))
    if assignments:
        assignments += ", "
    status = await db.execute(
        f"""
        UPDATE flow_run SET {assignments}version = version + 1, updated = clock_timestamp()
        WHERE id = $1 AND workspace_id = $2
        """,
        id,
        workspace_id,
        *changes.values(),
    )
    return status != "UPDATE 0"


async def merge_labels(db: Executor, workspace_id: UUID, id: UUID, labels: dict[str, Any]) -> bool:
    status = await db.execute(
        "UPDATE flow_run SET labels = labels || $3, updated = clock_timestamp() WHERE id = $1 AND workspace_id = $2",
        id,
        workspace_id,
        labels,
    )
    return status != "UPDATE 0"


async def state_history(db: Executor, workspace_id: UUID, flow_run_id: UUID) -> list[Record]:
    """The run's states, oldest first."""
    return await db.fetch(
        "SELECT * FROM flow_run_state WHERE flow_run_id = $1 AND workspace_id = $2 ORDER BY timestamp",
        flow_run_id,
        workspace_id,
    )


async def find_state(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    return await db.fetchrow("SELECT * FROM flow_run_state WHERE id = $1 AND workspace_id = $2", id, workspace_id)
