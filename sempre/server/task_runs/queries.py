"""Task runs in the database: reading them, and the changes that are no transitions."""

from uuid import UUID

from sqlalchemy import and_, func, select

from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.filters.common import Operator
from sempre.schemas.lists import RunFilters
from sempre.schemas.sorting import TaskRunSort
from sempre.server import lists
from sempre.server.filters.relations import TASK_RUNS, matching
from sempre.server.lists import Part

__all__ = ["find", "find_by_key", "page", "rename"]


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
    db: Executor, workspace_id: UUID, asked: RunFilters, sort: TaskRunSort, part: Part, *, few: bool = False
) -> list[Record]:
    """Matching runs, sorted, as ``rows.to_wire`` takes them. ``few`` as in :func:`lists.first`."""
    run = tables.task_run
    few = few or _of_named_runs(asked)
    chosen = lists.first(run, matching(TASK_RUNS, asked, workspace_id), sort, part, few=few)
    query = (
        select(run, func.clock_timestamp().label("now"))
        .select_from(chosen.join(run, and_(run.c.id == chosen.c.id, run.c.workspace_id == workspace_id)))
        .order_by(*lists.order(sort, run.c))
    )
    return await lists.fetch(db, query)


def _of_named_runs(asked: RunFilters) -> bool:
    """Whether the filters name the flow runs, or the task runs themselves."""
    own, runs = asked.task_runs, asked.flow_runs
    if runs is not None and runs.operator is not Operator.or_ and runs.id is not None and runs.id.any_:
        return True
    if own is None or own.operator is Operator.or_:
        return False
    return any(asked is not None and asked.any_ for asked in (own.id, own.flow_run_id))


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
