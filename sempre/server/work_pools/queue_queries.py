"""Work queues in the database."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, literal_column, select

from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.lists import ListCall
from sempre.server import lists
from sempre.server.filters.relations import WORK_QUEUES, matching
from sempre.server.lists import Part

__all__ = ["delete", "find", "find_by_id", "find_in_any_pool", "get", "lock_all", "page", "slots", "update"]

_queue = tables.work_queue
_pool = tables.work_pool

# Runs that hold a slot as calls about pools count them, and as the older calls about queues alone do.
IN_POOL = "'PENDING', 'RUNNING'"
ALONE = "'PENDING', 'RUNNING', 'CANCELLING'"

_READY_SECONDS = 60  # a queue that was polled this recently is ready when it is resumed


def slots(held: str) -> str:
    """SQL of the slots in use of a queue ``q``, known only where it has a limit; ``held`` is one of the lists above."""
    return f"""
        CASE WHEN q.concurrency_limit IS NOT NULL THEN (
            SELECT count(*) FROM flow_run r WHERE r.work_queue_id = q.id AND r.state_type IN ({held})
        ) END
    """


def _select(held: str) -> str:
    return f"""
        SELECT q.*, p.name AS work_pool_name, p.type AS work_pool_type, {slots(held)} AS active_slots
        FROM work_queue q JOIN work_pool p ON p.id = q.work_pool_id
    """


async def find(db: Executor, workspace_id: UUID, pool_name: str, name: str) -> Record | None:
    return await db.fetchrow(
        f"{_select(IN_POOL)} WHERE p.workspace_id = $1 AND p.name = $2 AND q.name = $3", workspace_id, pool_name, name
    )


async def find_by_id(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    return await db.fetchrow(f"{_select(ALONE)} WHERE q.id = $1 AND q.workspace_id = $2", id, workspace_id)


async def find_in_any_pool(db: Executor, workspace_id: UUID, name: str) -> Record | None:
    """The oldest queue of this name."""
    return await db.fetchrow(
        f"{_select(ALONE)} WHERE q.workspace_id = $1 AND q.name = $2 ORDER BY q.created, q.id LIMIT 1",
        workspace_id,
        name,
    )


async def page(
    db: Executor, workspace_id: UUID, asked: ListCall, part: Part, *, pool_id: UUID | None = None
) -> list[Record]:
    """Matching queues: of one pool by priority, of all pools by name."""
    order = (_queue.c.priority, _queue.c.name) if pool_id is not None else (_queue.c.name, _queue.c.id)
    query = select(_queue, _pool.c.name.label("work_pool_name")).join(_pool, _pool.c.id == _queue.c.work_pool_id)
    query = query.where(matching(WORK_QUEUES, asked, workspace_id))
    if pool_id is not None:
        query = query.where(_queue.c.work_pool_id == pool_id)
    chosen = part.of(query.order_by(*order)).subquery("q")
    held = literal_column(slots(IN_POOL if pool_id is not None else ALONE), Integer).label("active_slots")
    same_order: list[ColumnElement[Any]] = [chosen.c[column.name] for column in order]
    return await lists.fetch(db, select(chosen, held).order_by(*same_order))


async def get(db: Executor, queue_id: UUID) -> Record | None:
    """The bare row."""
    return await db.fetchrow("SELECT * FROM work_queue WHERE id = $1", queue_id)


async def lock_all(transaction: Executor, pool_id: UUID) -> None:
    """Keep a pool's queues from other writers until the transaction ends; by id, as all who lock several."""
    await transaction.execute("SELECT FROM work_queue WHERE work_pool_id = $1 ORDER BY id FOR NO KEY UPDATE", pool_id)


async def update(
    transaction: Executor, queue_id: UUID, changes: dict[str, Any], *, paused: bool | None
) -> Record | None:
    """Write columns of a queue; ``changes`` maps column names to values. ``None`` if the queue is gone.

    Pausing pauses the status too; resuming what was paused makes it ready if it was polled lately.
    """
    columns = dict(changes) if paused is None else {**changes, "is_paused": paused}
    numbers = {name: number for number, name in enumerate(columns, start=3)}
    assignments = "".join(f"{name} = ${number}, " for name, number in numbers.items())
    polled = f"${numbers['last_polled']}::timestamptz" if "last_polled" in numbers else "last_polled"
    return await transaction.fetchrow(
        f"""
        UPDATE work_queue SET {assignments} updated = clock_timestamp(),
            status = CASE
                WHEN $2::bool IS NULL THEN status
                WHEN $2 THEN 'PAUSED'
                WHEN status <> 'PAUSED' THEN status
                WHEN {polled} > clock_timestamp() - interval '{_READY_SECONDS} seconds' THEN 'READY'
                ELSE 'NOT_READY'
            END
        WHERE id = $1 RETURNING *
        """,
        queue_id,
        paused,
        *columns.values(),
    )


async def delete(transaction: Executor, queue_id: UUID) -> bool:
    return await transaction.execute("DELETE FROM work_queue WHERE id = $1", queue_id) != "DELETE 0"
