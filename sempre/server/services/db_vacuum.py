"""Removes what is older than its retention, in batches that are committed one by one.

Events and logs go by whole days (the partition keeper drops them); here go the rows that live outside of the days, the
types of events that are kept for a shorter time, cached results past their expiration, finished flow runs, and what
belongs to runs that are gone.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from sempre.server.flow_runs.deletion import delete_runs
from sempre.server.scope import Scope

__all__ = ["run", "run_orphans"]

_ROWS = 5000  # of events, logs and the like in one statement

# Rows of the default partition, and of a partition that is only partly past a short retention.
_OLD_EVENTS = """
DELETE FROM event WHERE (workspace_id, occurred, id) IN (
    SELECT workspace_id, occurred, id FROM {table} WHERE occurred < now() - $1::interval LIMIT $2
) AND occurred < now() - $1::interval
"""
_OLD_EVENTS_OF_TYPE = """
DELETE FROM event WHERE (workspace_id, occurred, id) IN (
    SELECT workspace_id, occurred, id FROM event WHERE event = $3 AND occurred < now() - $1::interval LIMIT $2
) AND occurred < now() - $1::interval
"""
# What automations did goes with the events that tell of it; what they still owe stays.
_OLD_FIRINGS = """
WITH old AS MATERIALIZED (
    SELECT id FROM automation_firing f WHERE fired_at < now() - $1::interval AND NOT EXISTS (
        SELECT FROM automation_action a WHERE a.firing_id = f.id AND a.status IN ('ready', 'running')
    )
    ORDER BY fired_at LIMIT $2
), actions AS (
    DELETE FROM automation_action WHERE firing_id = ANY(ARRAY(SELECT id FROM old))
)
DELETE FROM automation_firing WHERE id = ANY(ARRAY(SELECT id FROM old))
"""
_OLD_LOGS = """
DELETE FROM log_default WHERE (recorded, id) IN (
    SELECT recorded, id FROM log_default WHERE recorded < now() - $1::interval LIMIT $2
)
"""
_OLD_DEAD_LETTERS = """
DELETE FROM event_dead_letter WHERE (consumer, workspace_id, event_id) IN (
    SELECT consumer, workspace_id, event_id FROM event_dead_letter WHERE recorded < now() - $1::interval LIMIT $2
)
"""
_EXPIRED_CACHE = """
DELETE FROM task_run_cache WHERE (workspace_id, state_id) IN (
    SELECT workspace_id, state_id FROM task_run_cache WHERE cache_expiration < now() - $1::interval LIMIT $2
)
"""
# A subflow's run has a parent task run; it becomes eligible when that is gone. Old runs are looked for by their end: in
# the order of the ids, a round that finds none would have gone through all runs.
_OLD_FLOW_RUNS = """
WITH old AS MATERIALIZED (
    SELECT id FROM flow_run
    WHERE end_time < now() - $1::interval AND parent_task_run_id IS NULL
        AND state_type IN ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED')
    ORDER BY end_time LIMIT $2
)
SELECT r.id, r.workspace_id FROM flow_run r
WHERE r.id = ANY(ARRAY(SELECT id FROM old)) AND r.end_time < now() - $1::interval AND r.parent_task_run_id IS NULL
    AND r.state_type IN ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED')
ORDER BY r.id FOR UPDATE SKIP LOCKED
"""
_GONE_RUNS = """
WITH RECURSIVE named AS (
    (SELECT flow_run_id FROM {table} WHERE flow_run_id IS NOT NULL ORDER BY flow_run_id LIMIT 1)
    UNION ALL
    SELECT (SELECT t.flow_run_id FROM {table} t WHERE t.flow_run_id > named.flow_run_id ORDER BY 1 LIMIT 1)
    FROM named WHERE named.flow_run_id IS NOT NULL
)
SELECT flow_run_id FROM named
WHERE flow_run_id IS NOT NULL AND NOT EXISTS (SELECT FROM flow_run WHERE flow_run.id = named.flow_run_id)
"""
# The newest artifact of the key takes the place of one that is gone; without any the collection goes.
_REPOINT_COLLECTIONS = """
UPDATE artifact_collection c SET
    latest_id = a.id, updated = now(), type = a.type, description = a.description, data = a.data,
    metadata_ = a.metadata_, flow_run_id = a.flow_run_id, task_run_id = a.task_run_id
FROM (
    SELECT DISTINCT ON (a.workspace_id, a.key) a.* FROM artifact a
    JOIN artifact_collection stale USING (workspace_id, key)
    WHERE NOT EXISTS (SELECT FROM artifact latest WHERE latest.id = stale.latest_id)
    ORDER BY a.workspace_id, a.key, a.created DESC
) a
WHERE c.workspace_id = a.workspace_id AND c.key = a.key
"""
_DELETE_COLLECTIONS = """
DELETE FROM artifact_collection c
WHERE NOT EXISTS (SELECT FROM artifact a WHERE a.workspace_id = c.workspace_id AND a.key = c.key)
    AND NOT EXISTS (SELECT FROM artifact a WHERE a.id = c.latest_id)
"""


async def run(scope: Scope) -> None:
    """One round over events, logs, cached results and, where asked for, flow runs."""
    settings = scope.settings
    enabled = settings.services.db_vacuum.enabled
    if "events" in enabled:
        await _remove_events(scope)
    await _in_batches(scope, _OLD_LOGS, timedelta(seconds=settings.logs.retention_seconds))
    await _in_batches(scope, _EXPIRED_CACHE, timedelta(0))
    if "flow_runs" in enabled:
        await _remove_flow_runs(scope)


async def run_orphans(scope: Scope) -> None:
    """One round over logs and artifacts whose run is gone, and collections whose latest artifact is."""
    if "orphans" not in scope.settings.services.db_vacuum.enabled:
        return
    for table in ("log", "artifact"):
        gone = [row["flow_run_id"] for row in await scope.db.fetch(_GONE_RUNS.format(table=table))]
        for start in range(0, len(gone), 100):
            await scope.db.execute(f"DELETE FROM {table} WHERE flow_run_id = ANY($1)", gone[start : start + 100])
    await scope.db.execute(_REPOINT_COLLECTIONS)
    await scope.db.execute(_DELETE_COLLECTIONS)


async def _remove_events(scope: Scope) -> None:
    settings = scope.settings
    everything = timedelta(seconds=settings.events.retention_seconds)
    for name, seconds in settings.services.db_vacuum.event_retention_overrides.items():
        await _in_batches(scope, _OLD_EVENTS_OF_TYPE, min(everything, timedelta(seconds=seconds)), name)
    # Days go whole, a day late at most. A retention of hours is meant to the hour.
    table = "event" if everything < timedelta(days=2) else "event_default"
    await _in_batches(scope, _OLD_EVENTS.format(table=table), everything)
    await _in_batches(scope, _OLD_DEAD_LETTERS, everything)
    await _in_batches(scope, _OLD_FIRINGS, everything)


async def _in_batches(scope: Scope, sql: str, age: timedelta, *more: Any) -> None:
    async def batch() -> int:
        status = await scope.db.execute(sql, age, _ROWS, *more)
        return int(status.rpartition(" ")[2])

    await _until_few(batch, _ROWS)


async def _remove_flow_runs(scope: Scope) -> None:
    settings = scope.settings.services.db_vacuum
    age = timedelta(seconds=settings.retention_seconds)

    async def batch() -> int:
        async with scope.db.transaction() as tx:
            found = await tx.fetch(_OLD_FLOW_RUNS, age, settings.batch_size)
            by_workspace: dict[Any, list[Any]] = {}
            for row in found:
                by_workspace.setdefault(row["workspace_id"], []).append(row["id"])
            for workspace_id, ids in sorted(by_workspace.items()):
                await delete_runs(tx, workspace_id, ids)
                await tx.execute(
                    "DELETE FROM artifact WHERE workspace_id = $1 AND flow_run_id = ANY($2)", workspace_id, ids
                )
        return len(found)

    # Runs of subflows lose their parent in one batch and are found by the next.
    await _until_few(batch, 1)


async def _until_few(batch: Callable[[], Awaitable[int]], few: int) -> None:
    while await batch() >= few:
        pass
