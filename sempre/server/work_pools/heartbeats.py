"""Workers in the database: they exist by their heartbeats."""

from typing import Any
from uuid import UUID

from sempre.db.pool import Record
from sempre.server.events.emit import emit
from sempre.server.ids import new_id
from sempre.server.scope import Scope
from sempre.server.work_pools import events

__all__ = ["record_heartbeat"]


async def record_heartbeat(
    scope: Scope,
    pool_name: str,
    worker_name: str,
    interval_seconds: float | None,
    metadata: dict[str, Any] | None = None,
    session_id: UUID | None = None,
) -> Record | None:
    """Note that a worker is alive: ``work_pool_id`` and ``updated`` of its pool, or ``None`` for an unknown pool.

    ``None`` keeps the interval and metadata that are known. The first heartbeat in a pool makes it ready.
    ``session_id``: the worker's process, where it has a name for it; another process of the same name is not it.
    """
    row = await scope.db.fetchrow(
        """
        WITH pool AS (
            SELECT id, workspace_id, status, updated FROM work_pool WHERE workspace_id = $1 AND name = $2
        ), beat AS (
            INSERT INTO worker (
                id, workspace_id, work_pool_id, name, heartbeat_interval_seconds, metadata, last_heartbeat_time
            )
            SELECT $3, workspace_id, id, $4, $5, coalesce($6::jsonb, '{}'), clock_timestamp() FROM pool
            ON CONFLICT (work_pool_id, name) DO UPDATE SET
                last_heartbeat_time = excluded.last_heartbeat_time, updated = excluded.last_heartbeat_time,
                status = 'ONLINE',
                heartbeat_interval_seconds = coalesce($5, worker.heartbeat_interval_seconds),
                metadata = coalesce($6, worker.metadata)
        ), session AS (
            INSERT INTO worker_session (
                id, workspace_id, work_pool_id, name, heartbeat_interval_seconds, last_heartbeat_time
            )
            SELECT $7, workspace_id, id, $4, $5, clock_timestamp() FROM pool WHERE $7::uuid IS NOT NULL
            ON CONFLICT (id) DO UPDATE SET
                last_heartbeat_time = excluded.last_heartbeat_time,
                heartbeat_interval_seconds = coalesce($5, worker_session.heartbeat_interval_seconds)
            WHERE worker_session.work_pool_id = excluded.work_pool_id
        )
        SELECT id AS work_pool_id, status, updated FROM pool
        """,
        scope.workspace_id,
        pool_name,
        new_id(),
        worker_name,
        interval_seconds,
        metadata,
        session_id,
    )
    if row is not None and row["status"] == "NOT_READY":
        await _make_ready(scope, row["work_pool_id"])
    return row


async def _make_ready(scope: Scope, pool_id: UUID) -> None:
    event_id = new_id()
    async with scope.db.transaction() as transaction:
        pool = await transaction.fetchrow(
            """
            WITH before AS (
                SELECT id, last_status_event_id, last_transitioned_status_at FROM work_pool
                WHERE id = $1 AND status = 'NOT_READY' FOR NO KEY UPDATE
            )
            UPDATE work_pool p SET
                status = 'READY', last_status_event_id = $2, last_transitioned_status_at = clock_timestamp()
            FROM before WHERE p.id = before.id
            RETURNING p.*, before.last_status_event_id AS previous_event, p.last_transitioned_status_at AS now,
                before.last_transitioned_status_at AS previous_change
            """,
            pool_id,
            event_id,
        )
        if pool is not None:  # otherwise another heartbeat did it
            follows = events.follows(pool["previous_event"], pool["previous_change"], pool["now"])
            await emit(transaction, scope.workspace_id, events.pool_status(pool, id=event_id, follows=follows))
    if pool is not None:
        scope.doorbell.ring("events")
