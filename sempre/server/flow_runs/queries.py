"""Flow runs in the database: reading them, and the changes that are no transitions."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.lists import ListCall
from sempre.schemas.sorting import FlowRunSort
from sempre.server import lists
from sempre.server.filters.relations import FLOW_RUNS, matching
from sempre.server.flow_runs.statements import SURROUNDING_JOINS, SURROUNDINGS
from sempre.server.lists import Part

__all__ = ["find", "find_state", "merge_labels", "page", "state_details", "state_history", "update"]

_FIND = f"""
SELECT r.*, clock_timestamp() AS now, {SURROUNDINGS}
FROM flow_run r {SURROUNDING_JOINS}
WHERE r.id = $1 AND r.workspace_id = $2
"""

_queue = tables.work_queue
_pool = tables.work_pool


async def find(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    """The run with its surroundings, as ``rows.to_wire`` takes it."""
    return await db.fetchrow(_FIND, id, workspace_id)


async def page(
    db: Executor, workspace_id: UUID, asked: ListCall, sort: FlowRunSort, part: Part, *, few: bool = False
) -> list[Record]:
    """Matching runs, sorted, with what ``rows.to_wire`` needs beside the run's own columns. ``few`` as in
    :func:`lists.first`."""
    run = tables.flow_run
    chosen = lists.first(run, matching(FLOW_RUNS, asked, workspace_id), sort, part, few=few)
    query = (
        select(
            run,
            func.clock_timestamp().label("now"),
            _queue.c.name.label("queue_name"),
            _pool.c.id.label("work_pool_id"),
            _pool.c.name.label("work_pool_name"),
        )
        .select_from(
            chosen.join(run, run.c.id == chosen.c.id)
            .outerjoin(_queue, _queue.c.id == run.c.work_queue_id)
            .outerjoin(_pool, _pool.c.id == _queue.c.work_pool_id)
        )
        .order_by(*lists.order(sort, run.c))
    )
    return await lists.fetch(db, query)


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


async def state_details(db: Executor, workspace_id: UUID, id: UUID) -> dict[str, Any] | None:
    """The details of the run's state as they are stored."""
    details: dict[str, Any] | None = await db.fetchval(
        "SELECT state_details FROM flow_run WHERE id = $1 AND workspace_id = $2", id, workspace_id
    )
    return details


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
