"""Making work pools and queues, also those that other calls name before they exist.

Priorities of a pool's queues are dealt out under a lock of the pool's row, taken in a statement of its own: the one
after it sees every queue that was made before. Nothing but SQL runs while it is held.
"""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sempre.db.pool import Executor, Record
from sempre.schemas.work_pools import check_queue_name
from sempre.server.errors import Unprocessable
from sempre.server.events.emit import emit
from sempre.server.ids import new_id
from sempre.server.work_pools import events
from sempre.server.work_pools.lookup import pool_not_found

__all__ = [
    "AGENT_POOL",
    "NewPool",
    "NewQueue",
    "agent_pool",
    "create_pool",
    "create_queue",
    "ensure_agent_queue",
    "ensure_queue",
    "lock_pool",
    "make_room",
]

AGENT_POOL = "default-agent-pool"  # where queues of clients that know no pools live

_DEFAULT_QUEUE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPool:
    name: str
    type: str = events.AGENT_TYPE
    description: str | None = None
    base_job_template: dict[str, Any] = field(default_factory=dict)
    is_paused: bool = False
    concurrency_limit: int | None = None
    storage_configuration: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewQueue:
    name: str
    description: str = ""
    is_paused: bool = False
    concurrency_limit: int | None = None
    priority: int | None = None  # None: the lowest number that no queue of the pool has
    filter: dict[str, Any] | None = None


async def ensure_queue(transaction: Executor, workspace_id: UUID, pool_name: str, queue_name: str) -> tuple[UUID, str]:
    """Id and name of a pool's queue, made if it is missing. Raises NotFound for an unknown pool.

    Ring the doorbell (``events``) after the commit.
    """
    found = await _find(transaction, workspace_id, pool_name, queue_name)
    if found is None:
        pool = await lock_pool(transaction, workspace_id, pool_name)
        if pool is None:
            raise pool_not_found(pool_name)
        found = await create_queue(transaction, pool, NewQueue(name=queue_name))
        if found is None:  # somebody made it before the pool was ours
            found = await _find(transaction, workspace_id, pool_name, queue_name)
            assert found is not None
    return found["id"], found["name"]


async def ensure_agent_queue(transaction: Executor, workspace_id: UUID, queue_name: str) -> tuple[UUID, str]:
    """Id and name of a queue for agents; it and the pool of such queues are made if they are missing.

    A new queue is served before all others. Ring the doorbell (``events``) after the commit.
    """
    found = await _find(transaction, workspace_id, AGENT_POOL, queue_name)
    if found is None:
        pool = await agent_pool(transaction, workspace_id)
        found = await create_queue(transaction, pool, NewQueue(name=queue_name, priority=1))
        if found is None:  # it came with the pool, or somebody made it before the pool was ours
            found = await _find(transaction, workspace_id, AGENT_POOL, queue_name)
            assert found is not None
    return found["id"], found["name"]


async def agent_pool(transaction: Executor, workspace_id: UUID) -> Record:
    """The pool of the agents' queues, locked; made if it is missing."""
    pool = await lock_pool(transaction, workspace_id, AGENT_POOL)
    if pool is None:
        pool = await create_pool(transaction, workspace_id, NewPool(name=AGENT_POOL))
    if pool is None:  # somebody made it just now
        pool = await lock_pool(transaction, workspace_id, AGENT_POOL)
    if pool is None:  # and somebody deleted it just now
        raise pool_not_found(AGENT_POOL)
    return pool


async def lock_pool(transaction: Executor, workspace_id: UUID, name: str) -> Record | None:
    """The pool's row, kept from other writers of the pool and its queues until the transaction ends."""
    return await transaction.fetchrow(
        "SELECT * FROM work_pool WHERE workspace_id = $1 AND name = $2 FOR NO KEY UPDATE", workspace_id, name
    )


async def create_pool(transaction: Executor, workspace_id: UUID, pool: NewPool) -> Record | None:
    """Make a pool with its default queue, and their events; ``None`` if the name is taken.

    The row comes back locked, as from :func:`lock_pool`.
    """
    has_status = pool.type != events.AGENT_TYPE
    queue_id = new_id()
    created = await transaction.fetchrow(
        """
        INSERT INTO work_pool (
            id, workspace_id, name, description, type, base_job_template, is_paused, concurrency_limit,
            storage_configuration, status, default_queue_id
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (workspace_id, name) DO NOTHING RETURNING *
        """,
        new_id(),
        workspace_id,
        pool.name,
        pool.description,
        pool.type,
        pool.base_job_template,
        pool.is_paused,
        pool.concurrency_limit,
        pool.storage_configuration,
        ("PAUSED" if pool.is_paused else "NOT_READY") if has_status else None,
        queue_id,
    )
    if created is None:
        return None
    default = NewQueue(name=_DEFAULT_QUEUE, description="The work pool's default queue.", priority=1)
    await create_queue(transaction, created, default, id=queue_id)
    made = [events.pool_changed("created", created)]
    if has_status:
        made.append(events.pool_status(created))
    await emit(transaction, workspace_id, *made)
    return created


async def create_queue(
    transaction: Executor, pool: Record, queue: NewQueue, *, id: UUID | None = None
) -> Record | None:
    """Make a queue in a pool that this transaction has locked, and its event; ``None`` if the name is taken.

    A priority that is given is taken; queues that stand there move up as little as they must. Raises Unprocessable for
    a name that no queue can have.
    """
    try:
        check_queue_name(queue.name)
    except ValueError as error:
        raise Unprocessable(f"Invalid work queue name {queue.name!r}: {error}.") from error
    created = await transaction.fetchrow(
        """
        INSERT INTO work_queue (
            id, workspace_id, work_pool_id, name, description, is_paused, concurrency_limit, filter, priority
        )
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, coalesce($9::int, (
            SELECT min(n) FROM generate_series(1, (SELECT count(*) + 1 FROM work_queue WHERE work_pool_id = $3)) n
            WHERE NOT EXISTS (SELECT FROM work_queue q WHERE q.work_pool_id = $3 AND q.priority = n)
        ))
        ON CONFLICT (work_pool_id, name) DO NOTHING RETURNING *
        """,
        id or new_id(),
        pool["workspace_id"],
        pool["id"],
        queue.name,
        queue.description,
        queue.is_paused,
        queue.concurrency_limit,
        queue.filter,
        queue.priority,
    )
    if created is None:
        return None
    if queue.priority is not None:
        await make_room(transaction, pool["id"], created["id"], queue.priority)
    await emit(transaction, pool["workspace_id"], events.queue_changed("created", created, pool))
    return created


async def make_room(transaction: Executor, pool_id: UUID, queue_id: UUID, priority: int) -> None:
    """Move the pool's other queues at ``priority`` and above up, only as far as they must to stay in order.

    The pool must be locked by this transaction.
    """
    # The i-th of them goes to max(own, the one before + 1), which in closed form is i + max(p, max(own_j - j), j <= i).
    await transaction.execute(
        """
        WITH others AS MATERIALIZED (
            SELECT id, priority, created FROM work_queue WHERE work_pool_id = $1 AND id <> $2 AND priority >= $3
            ORDER BY id FOR NO KEY UPDATE
        ), moved AS (
            SELECT id, n + greatest($3::int, max(priority - n) OVER (ORDER BY n)) AS priority
            FROM (
                SELECT id, priority, (row_number() OVER (ORDER BY priority, created, id))::int AS n FROM others
            ) numbered
        )
        UPDATE work_queue q SET priority = moved.priority, updated = now()
        FROM moved WHERE q.id = moved.id AND q.priority <> moved.priority
        """,
        pool_id,
        queue_id,
        priority,
    )


async def _find(db: Executor, workspace_id: UUID, pool_name: str, queue_name: str) -> Record | None:
    return await db.fetchrow(
        """
        SELECT q.id, q.name FROM work_pool p JOIN work_queue q ON q.work_pool_id = p.id
        WHERE p.workspace_id = $1 AND p.name = $2 AND q.name = $3
        """,
        workspace_id,
        pool_name,
        queue_name,
    )
