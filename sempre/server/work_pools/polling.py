"""What a worker is given to run: due runs of a pool's queues, within the limits of both.

Nothing is claimed here. Two workers may be given the same run; the one whose transition to PENDING comes first has it.
Rows are read without locks, for they would cost a write each and decide nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sempre.db.pool import Executor, Record
from sempre.db.statement import Statement
from sempre.server.flow_runs import rows
from sempre.server.work_pools.lookup import pool_not_found, queue_not_found

__all__ = ["DUE_RUNS", "Poll", "due_runs", "open_poll", "to_wire"]

_MOST_RUNS = 1000

_POOL = """
SELECT p.id AS work_pool_id, p.is_paused AS pool_paused, p.concurrency_limit AS pool_limit,
       q.id, q.name, q.is_paused, q.concurrency_limit, q.priority
FROM work_pool p LEFT JOIN work_queue q ON q.work_pool_id = p.id
WHERE p.workspace_id = $1 AND p.name = $2
ORDER BY q.priority, q.name
"""

# Slots in use are counted only for queues in `counted`: those with a limit, or all of a pool that has one. Each queue
# gives its earliest runs from the index on pollable runs; then they are put in order, and only what is left is read.
DUE_RUNS = Statement("""
WITH held AS MATERIALIZED (
    SELECT r.work_queue_id, count(*) AS slots FROM flow_run r
    WHERE r.work_queue_id = ANY(:counted::uuid[]) AND r.state_type IN ('PENDING', 'RUNNING')
    GROUP BY r.work_queue_id
), due AS (
    SELECT queue.place, found.id, found.next_scheduled_start_time
    FROM unnest(:queues::uuid[], :places::int[], :limits::int[]) AS queue(id, place, slots)
        LEFT JOIN held ON held.work_queue_id = queue.id
        CROSS JOIN LATERAL (
            SELECT r.id, r.next_scheduled_start_time FROM flow_run r
            WHERE r.work_queue_id = queue.id AND r.state_type = 'SCHEDULED'
                AND r.next_scheduled_start_time <= coalesce(:before::timestamptz, 'infinity')
                AND r.next_scheduled_start_time >= coalesce(:after::timestamptz, '-infinity')
                AND r.empirical_policy->>'retry_type' IS DISTINCT FROM 'in_process'
            ORDER BY r.next_scheduled_start_time
            LIMIT greatest(0, least(:limit::int, queue.slots - coalesce(held.slots, 0)))
        ) found
    ORDER BY queue.place, found.next_scheduled_start_time
    LIMIT greatest(0, least(:limit::int, :pool_limit::int - (SELECT coalesce(sum(slots), 0) FROM held)))
)
SELECT r.*, clock_timestamp() AS now, NULL::text AS queue_name, NULL::uuid AS work_pool_id,
       NULL::text AS work_pool_name
FROM due JOIN flow_run r ON r.id = due.id
ORDER BY due.place, due.next_scheduled_start_time
""")


@dataclass(frozen=True, slots=True)
class Poll:
    """A pool as one poll sees it: the queues that may give runs, in the order they are served."""

    work_pool_id: UUID
    pool_limit: int | None
    queues: list[Record]  # asked for and not paused
    considered: list[UUID]  # asked for: they count as polled
    all_queues: list[UUID]  # of the pool: their runs hold the pool's slots


async def open_poll(db: Executor, workspace_id: UUID, pool_name: str, queue_names: list[str]) -> Poll:
    """``queue_names``: none means all. Raises NotFound for the pool and for each queue."""
    found = await db.fetch(_POOL, workspace_id, pool_name)
    if not found:
        raise pool_not_found(pool_name)
    queues = [row for row in found if row["id"] is not None]
    names = {row["name"] for row in queues}
    for name in queue_names:
        if name not in names:
            raise queue_not_found(pool_name, name)
    pool = found[0]
    asked = [row for row in queues if not queue_names or row["name"] in queue_names]
    return Poll(
        work_pool_id=pool["work_pool_id"],
        pool_limit=pool["pool_limit"],
        queues=[] if pool["pool_paused"] else [row for row in asked if not row["is_paused"]],
        considered=[row["id"] for row in asked],
        all_queues=[row["id"] for row in queues],
    )


async def due_runs(
    db: Executor, poll: Poll, *, before: datetime | None, after: datetime | None, limit: int | None
) -> list[Record]:
    """Runs to start: by priority of their queue, then by time; ``before`` and ``after`` are inclusive."""
    if not poll.queues or limit == 0:
        return []
    limited = [row["id"] for row in poll.queues if row["concurrency_limit"] is not None]
    return await db.fetch(
        DUE_RUNS.sql,
        *DUE_RUNS.bind(
            counted=limited if poll.pool_limit is None else poll.all_queues,
            queues=[row["id"] for row in poll.queues],
            places=list(range(len(poll.queues))),
            limits=[row["concurrency_limit"] for row in poll.queues],
            before=before,
            after=after,
            limit=_MOST_RUNS if limit is None else min(limit, _MOST_RUNS),
            pool_limit=poll.pool_limit,
        ),
    )


def to_wire(poll: Poll, row: Record) -> dict[str, Any]:
    """A due run as workers take it: without its state object and its pool, its queue as it was asked for."""
    run = rows.to_wire(row)
    run["state"] = None
    del run["work_pool_id"], run["work_pool_name"]
    return {"work_pool_id": poll.work_pool_id, "work_queue_id": row["work_queue_id"], "flow_run": run}
