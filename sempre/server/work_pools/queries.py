"""Work pools in the database."""

from typing import Any
from uuid import UUID

from sqlalchemy import Integer, literal_column, select

from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.lists import ListCall
from sempre.server import lists
from sempre.server.filters.relations import WORK_POOLS, matching
from sempre.server.lists import Part

__all__ = [
    "QUEUE_SLOTS",
    "concurrency_page",
    "delete",
    "find",
    "forget_queues",
    "in_flight",
    "name_of",
    "page",
    "queues_of",
    "slots_in_use",
    "update",
]

_pool = tables.work_pool

# Runs that hold a slot, in a pool ``p``; counted only where a limit is set. The index on runs in flight answers it.
_POOL_SLOTS = """
    CASE WHEN p.concurrency_limit IS NOT NULL THEN (
        SELECT count(*) FROM work_queue held JOIN flow_run r ON r.work_queue_id = held.id
        WHERE held.work_pool_id = p.id AND r.state_type IN ('PENDING', 'RUNNING')
    ) END AS active_slots
"""
QUEUE_SLOTS = """
    CASE WHEN q.concurrency_limit IS NOT NULL THEN (
        SELECT count(*) FROM flow_run r WHERE r.work_queue_id = q.id AND r.state_type IN ('PENDING', 'RUNNING')
    ) END AS active_slots
"""


async def find(db: Executor, workspace_id: UUID, name: str) -> Record | None:
    return await db.fetchrow(
        f"SELECT p.*, {_POOL_SLOTS} FROM work_pool p WHERE p.workspace_id = $1 AND p.name = $2", workspace_id, name
    )


async def name_of(db: Executor, workspace_id: UUID, id: UUID) -> str | None:
    name: str | None = await db.fetchval(
        "SELECT name FROM work_pool WHERE id = $1 AND workspace_id = $2", id, workspace_id
    )
    return name


async def page(db: Executor, workspace_id: UUID, asked: ListCall, part: Part) -> list[Record]:
    """Matching pools by name."""
    matches = select(_pool).where(matching(WORK_POOLS, asked, workspace_id)).order_by(_pool.c.name)
    chosen = part.of(matches).subquery("p")
    slots = select(chosen, literal_column(_POOL_SLOTS.replace("AS active_slots", ""), Integer).label("active_slots"))
    return await lists.fetch(db, slots.order_by(chosen.c.name))


async def update(
    transaction: Executor,
    pool_id: UUID,
    changes: dict[str, Any],
    *,
    paused: bool | None = None,
    status_event: UUID | None = None,
) -> Record:
    """Write columns of a pool that this transaction has locked; ``changes`` maps column names to values.

    ``paused`` sets the status as well, and makes ``status_event`` the pool's last.
    """
    columns = dict(changes) if paused is None else {**changes, "is_paused": paused}
    assignments = "".join(f"{name} = ${number}, " for number, name in enumerate(columns, start=4))
    row = await transaction.fetchrow(
        f"""
        UPDATE work_pool p SET {assignments} updated = clock_timestamp(),
            status = CASE
                WHEN $2::bool IS NULL OR p.status IS NULL THEN p.status
                WHEN $2 THEN 'PAUSED'
                WHEN EXISTS (SELECT FROM worker w WHERE w.work_pool_id = p.id AND w.status = 'ONLINE') THEN 'READY'
                ELSE 'NOT_READY'
            END,
            last_status_event_id = CASE
                WHEN $2 IS NULL OR p.status IS NULL THEN p.last_status_event_id ELSE $3::uuid
            END,
            last_transitioned_status_at = CASE
                WHEN $2 IS NULL OR p.status IS NULL THEN p.last_transitioned_status_at ELSE clock_timestamp()
            END
        WHERE p.id = $1 RETURNING p.*
        """,
        pool_id,
        paused,
        status_event,
        *columns.values(),
    )
    assert row is not None  # it is locked
    return row


async def queues_of(db: Executor, pool_id: UUID) -> list[Record]:
    return await db.fetch("SELECT * FROM work_queue WHERE work_pool_id = $1 ORDER BY priority, name", pool_id)


async def delete(transaction: Executor, pool_id: UUID) -> None:
    """Delete a pool with its queues and workers. Its runs are to be told by :func:`forget_queues` first."""
    await transaction.execute("DELETE FROM work_pool WHERE id = $1", pool_id)


async def forget_queues(transaction: Executor, queue_ids: list[UUID]) -> None:
    """Take deployments and runs that have not ended out of queues that are about to go; the queue's name stays.

    Everything is locked in the order that others have too: deployments before queues, each by id.
    """
    await transaction.execute(
        """
        WITH held AS MATERIALIZED (
            SELECT id FROM deployment WHERE work_queue_id = ANY($1) ORDER BY id FOR NO KEY UPDATE
        )
        UPDATE deployment d SET work_queue_id = NULL FROM held WHERE d.id = held.id
        """,
        queue_ids,
    )
    await transaction.execute(
        """
        WITH held AS MATERIALIZED (
            SELECT id FROM flow_run
            WHERE work_queue_id = ANY($1) AND state_type = 'SCHEDULED'
                OR work_queue_id = ANY($1) AND state_type IN ('PENDING', 'RUNNING', 'CANCELLING')
            ORDER BY id FOR NO KEY UPDATE
        )
        UPDATE flow_run r SET work_queue_id = NULL FROM held WHERE r.id = held.id
        """,
        queue_ids,
    )
    await transaction.execute("SELECT FROM work_queue WHERE id = ANY($1) ORDER BY id FOR UPDATE", queue_ids)


async def slots_in_use(db: Executor, workspace_id: UUID, name: str) -> Record | None:
    """A pool's ``id``, ``concurrency_limit``, ``active_slots`` (limited or not) and ``queue_count``."""
    return await db.fetchrow(
        """
        SELECT p.id, p.concurrency_limit,
            (SELECT count(*) FROM work_queue q WHERE q.work_pool_id = p.id) AS queue_count,
            (
                SELECT count(*) FROM work_queue q JOIN flow_run r ON r.work_queue_id = q.id
                WHERE q.work_pool_id = p.id AND r.state_type IN ('PENDING', 'RUNNING')
            ) AS active_slots
        FROM work_pool p WHERE p.workspace_id = $1 AND p.name = $2
        """,
        workspace_id,
        name,
    )


async def concurrency_page(db: Executor, pool_id: UUID, *, limit: int, offset: int) -> list[Record]:
    """Queues by priority with the number of runs in each that hold a slot."""
    return await db.fetch(
        """
        SELECT q.id, q.name, q.concurrency_limit, count(r.id) AS active_slots
        FROM (SELECT * FROM work_queue WHERE work_pool_id = $1 ORDER BY priority, name LIMIT $2 OFFSET $3) q
            LEFT JOIN flow_run r ON r.work_queue_id = q.id AND r.state_type IN ('PENDING', 'RUNNING')
        GROUP BY q.id, q.name, q.concurrency_limit, q.priority ORDER BY q.priority, q.name
        """,
        pool_id,
        limit,
        offset,
    )


async def in_flight(db: Executor, queue_ids: list[UUID], limit: int) -> list[Record]:
    """Runs that hold slots of these queues, at most ``limit`` of each queue, by id."""
    return await db.fetch(
        """
        SELECT held.*, clock_timestamp() AS now
        FROM unnest($1::uuid[]) queue(id) CROSS JOIN LATERAL (
            SELECT r.work_queue_id, r.id, r.name, r.state_type, r.state_name, r.start_time, r.state_timestamp
            FROM flow_run r
            WHERE r.work_queue_id = queue.id AND r.state_type IN ('PENDING', 'RUNNING') ORDER BY r.id LIMIT $2
        ) held
        """,
        queue_ids,
        limit,
    )
