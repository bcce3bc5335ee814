"""Changing and deleting a queue, whichever of the two kinds of calls asks for it."""

from typing import Any
from uuid import UUID

from sempre.db.pool import Executor, Record
from sempre.schemas.work_pools import WorkQueueUpdate
from sempre.server.errors import INTEGRITY, Conflict
from sempre.server.events.emit import ServerEvent, emit
from sempre.server.scope import Scope
from sempre.server.work_pools import events, queries, queue_queries
from sempre.server.work_pools.creation import make_room

__all__ = ["change_queue", "delete_queue"]

_TRACKED = ("name", "description", "concurrency_limit", "priority")


async def change_queue(scope: Scope, queue_id: UUID, update: WorkQueueUpdate, *, reorder: bool) -> bool:
    """Write the fields that were sent; whether the queue was there. ``reorder``: others make room for its priority."""
    changes = _changes(update)
    paused = changes.pop("is_paused", None)
    async with scope.db.transaction() as transaction:
        pool = await _lock_pool_of(transaction, scope.workspace_id, queue_id)
        if pool is None:
            return False
        await queue_queries.lock_all(transaction, pool["id"])
        before = await queue_queries.get(transaction, queue_id)
        if before is None:
            return False
        after = await queue_queries.update(transaction, queue_id, changes, paused=paused)
        assert after is not None  # it is locked
        if reorder and changes.get("priority") is not None:
            await make_room(transaction, pool["id"], queue_id, changes["priority"])
        await emit(transaction, scope.workspace_id, *_events(before, after, pool))
    scope.doorbell.ring("events", f"work:{pool['id']}")
    return True


async def delete_queue(scope: Scope, queue_id: UUID) -> bool:
    """Delete a queue; whether it was there. Raises Conflict for a pool's default queue."""
    async with scope.db.transaction() as transaction:
        pool = await _lock_pool_of(transaction, scope.workspace_id, queue_id)
        queue = None if pool is None else await queue_queries.get(transaction, queue_id)
        if pool is None or queue is None:
            return False
        if pool["default_queue_id"] == queue_id:
            raise Conflict(INTEGRITY)  # it goes with its pool
        await queries.forget_queues(transaction, [queue_id])
        await queue_queries.delete(transaction, queue_id)
        await emit(transaction, scope.workspace_id, events.queue_changed("deleted", queue, pool))
    scope.doorbell.ring("events")
    return True


def _changes(update: WorkQueueUpdate) -> dict[str, Any]:
    changes = update.sent()
    if update.filter is not None:
        changes["filter"] = update.filter.model_dump(mode="json")
    return changes


async def _lock_pool_of(transaction: Executor, workspace_id: UUID, queue_id: UUID) -> Record | None:
    """The queue's pool, locked: queues come, go and change places only under that lock."""
    return await transaction.fetchrow(
        """
        SELECT p.* FROM work_pool p
        WHERE p.workspace_id = $1 AND p.id = (SELECT work_pool_id FROM work_queue WHERE id = $2)
        FOR NO KEY UPDATE
        """,
        workspace_id,
        queue_id,
    )


def _events(before: Record, after: Record, pool: Record) -> list[ServerEvent]:
    made = []
    if payload := events.changed_fields(before, after, _TRACKED):
        made.append(events.queue_changed("updated", after, pool, payload=payload))
    if before["status"] != after["status"]:
        made.append(events.queue_status(after, pool))
    return made
