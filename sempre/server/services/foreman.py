"""Notices who fell silent: workers without heartbeats, pools without workers, queues and deployments nobody polls.

Every step looks again at the row it changes, in the statement that changes it: several foremen at once, and heartbeats
and polls in between, do no harm. A step takes rows in the order of their ids and leaves out those that are locked:
somebody is just writing them, which is the opposite of silence.

Only silence that somebody listened to counts: up to when an API process was last there, and not from before the API was
last away.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sempre.db.pool import Executor
from sempre.server.deployments import queries as deployments
from sempre.server.deployments.events import deployment_event
from sempre.server.events.emit import ServerEvent, emit
from sempre.server.heartbeats.presence import Present, listening
from sempre.server.ids import new_id
from sempre.server.scope import Scope
from sempre.server.work_pools import events

__all__ = ["run"]

_BATCH = 500
_MOST_BATCHES = 100

_SILENT_WORKERS = """
WITH silent AS MATERIALIZED (
    SELECT id FROM worker
    WHERE status = 'ONLINE' AND greatest(last_heartbeat_time, $4)
        < $5::timestamptz - make_interval(secs => coalesce(heartbeat_interval_seconds, $1::float8) * $2::int)
    ORDER BY id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE worker w SET status = 'OFFLINE' FROM silent WHERE w.id = silent.id
"""

_NO_WORKER = "NOT EXISTS (SELECT FROM worker w WHERE w.work_pool_id = p.id AND w.status = 'ONLINE')"
_POOLS_WITHOUT_WORKERS = (
    f"SELECT p.id FROM work_pool p WHERE p.status = 'READY' AND {_NO_WORKER} ORDER BY p.id LIMIT $1"
)
_MARK_POOLS = f"""
WITH before AS MATERIALIZED (
    SELECT p.id, p.last_status_event_id, p.last_transitioned_status_at FROM work_pool p
    WHERE p.id = ANY($1) AND p.status = 'READY' AND {_NO_WORKER}
    ORDER BY p.id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE work_pool p SET
    status = 'NOT_READY', last_status_event_id = fresh.event_id, last_transitioned_status_at = clock_timestamp()
FROM before JOIN unnest($1::uuid[], $2::uuid[]) AS fresh(id, event_id) ON fresh.id = before.id
WHERE p.id = before.id
RETURNING p.*, before.last_status_event_id AS previous_event, before.last_transitioned_status_at AS previous_change
"""

_FORGOTTEN_DEPLOYMENTS = """
WITH forgotten AS MATERIALIZED (
    SELECT d.id FROM deployment d
    WHERE d.status = 'READY' AND d.last_polled < $1 AND NOT EXISTS (
        SELECT FROM work_queue q WHERE q.id = d.work_queue_id AND q.last_polled >= $1
    )
    ORDER BY d.id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE deployment d SET status = 'NOT_READY' FROM forgotten WHERE d.id = forgotten.id
RETURNING d.id, d.workspace_id
"""

_FORGOTTEN_QUEUES = """
WITH forgotten AS MATERIALIZED (
    SELECT id FROM work_queue WHERE status = 'READY' AND last_polled < $1
    ORDER BY id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
), marked AS (
    UPDATE work_queue q SET status = 'NOT_READY' FROM forgotten WHERE q.id = forgotten.id RETURNING q.*
)
SELECT m.*, p.name AS pool_name, p.type AS pool_type FROM marked m JOIN work_pool p ON p.id = m.work_pool_id
"""


async def run(scope: Scope) -> None:
    """One round: workers first, for pools are judged by them."""
    here = await _listening(scope)
    for step in (_mark_workers, _mark_pools, _mark_deployments, _mark_queues):
        await _in_batches(scope, here, step)


async def _listening(scope: Scope) -> Present:
    """Since when, and until when, an API process was there; where none ever said so, all the time."""
    now: datetime = await scope.db.fetchval("SELECT clock_timestamp()")
    return await listening(scope.db) or Present(datetime.min.replace(tzinfo=UTC), now)


async def _in_batches(scope: Scope, here: Present, step: Callable[[Scope, Present], Awaitable[int]]) -> None:
    for _ in range(_MOST_BATCHES):
        if await step(scope, here) < _BATCH:
            return


def _heard_since(here: Present, seconds: float) -> datetime | None:
    """Who was not heard of since then is silent; ``None``: nobody has listened for that long."""
    since = here.until - timedelta(seconds=seconds)
    return since if here.since <= since else None


async def _mark_workers(scope: Scope, here: Present) -> int:
    settings = scope.settings.services.foreman
    status = await scope.db.execute(
        _SILENT_WORKERS,
        settings.fallback_heartbeat_interval_seconds,
        settings.inactivity_heartbeat_multiple,
        _BATCH,
        here.since,
        here.until,
    )
    return int(status.rpartition(" ")[2])


async def _mark_pools(scope: Scope, _: Present) -> int:
    ids = [row["id"] for row in await scope.db.fetch(_POOLS_WITHOUT_WORKERS, _BATCH)]
    if not ids:
        return 0
    async with scope.db.transaction() as transaction:
        marked = await transaction.fetch(_MARK_POOLS, ids, [new_id() for _ in ids])
        await _emit(transaction, ((row["workspace_id"], _pool_event(row)) for row in marked))
    scope.doorbell.ring("events")
    return len(marked)


async def _mark_deployments(scope: Scope, here: Present) -> int:
    since = _heard_since(here, scope.settings.services.foreman.deployment_last_polled_timeout_seconds)
    async with scope.db.transaction() as transaction:
        marked = await transaction.fetch(_FORGOTTEN_DEPLOYMENTS, since, _BATCH)
        by_workspace: dict[UUID, list[UUID]] = {}
        for row in marked:
            by_workspace.setdefault(row["workspace_id"], []).append(row["id"])
        for workspace_id, ids in by_workspace.items():
            rows = await deployments.find_many(transaction, workspace_id, ids)
            await emit(transaction, workspace_id, *(deployment_event("not-ready", row) for row in rows))
    if marked:
        scope.doorbell.ring("events")
    return len(marked)


async def _mark_queues(scope: Scope, here: Present) -> int:
    since = _heard_since(here, scope.settings.services.foreman.work_queue_last_polled_timeout_seconds)
    async with scope.db.transaction() as transaction:
        marked = await transaction.fetch(_FORGOTTEN_QUEUES, since, _BATCH)
        await _emit(transaction, ((row["workspace_id"], _queue_event(row)) for row in marked))
    if marked:
        scope.doorbell.ring("events")
    return len(marked)


async def _emit(transaction: Executor, made: Iterable[tuple[UUID, ServerEvent]]) -> None:
    by_workspace: dict[UUID, list[ServerEvent]] = {}
    for workspace_id, event in made:
        by_workspace.setdefault(workspace_id, []).append(event)
    for workspace_id, events_of_workspace in by_workspace.items():
        await emit(transaction, workspace_id, *events_of_workspace)


def _pool_event(pool: Mapping[str, Any]) -> ServerEvent:
    follows = events.follows(pool["previous_event"], pool["previous_change"], now=pool["last_transitioned_status_at"])
    return events.pool_status(pool, id=pool["last_status_event_id"], follows=follows)


def _queue_event(queue: Mapping[str, Any]) -> ServerEvent:
    pool = {"id": queue["work_pool_id"], "name": queue["pool_name"], "type": queue["pool_type"]}
    return events.queue_status(queue, pool)
