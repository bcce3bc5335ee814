"""Runs of a queue, as calls see them that know no pools: by the queue's name, wherever it is."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sempre.db.pool import Executor, Record
from sempre.server.flow_runs.statements import SURROUNDING_JOINS, SURROUNDINGS

__all__ = ["in_flight", "late_runs", "runs_of_filter", "runs_of_name"]

_HELD = "r.state_type IN ('PENDING', 'RUNNING', 'CANCELLING')"
_DUE = "r.state_type = 'SCHEDULED' AND r.next_scheduled_start_time <= coalesce($3::timestamptz, 'infinity')"

# Runs of the queues that have this name, and runs that kept the name of a queue that is gone.
_OF_NAME = """
    r.workspace_id = $1 AND (
        r.work_queue_id = ANY(ARRAY(SELECT id FROM work_queue q WHERE q.workspace_id = $1 AND q.name = $2))
        OR r.work_queue_id IS NULL AND r.work_queue_name = $2
    )
"""
# Runs that a queue of the oldest kind picks: of the deployments it lists, if any, with all of its tags.
_OF_FILTER = """
    r.workspace_id = $1 AND r.deployment_id IS NOT NULL
    AND (jsonb_array_length($2::jsonb->'deployment_ids') = 0
         OR r.deployment_id = ANY(ARRAY(SELECT jsonb_array_elements_text($2::jsonb->'deployment_ids')::uuid)))
    AND r.tags @> ARRAY(SELECT jsonb_array_elements_text($2::jsonb->'tags'))
"""


async def runs_of_name(
    db: Executor, workspace_id: UUID, name: str, *, before: datetime | None, slots: int | None, limit: int
) -> list[Record]:
    """Due runs by time, as ``flow_runs.rows.to_wire`` takes them; at most as many as ``slots`` leaves free."""
    return await db.fetch(_due(_OF_NAME), workspace_id, name, before, slots, limit)


async def runs_of_filter(
    db: Executor, workspace_id: UUID, filter: dict[str, Any], *, before: datetime | None, slots: int | None, limit: int
) -> list[Record]:
    """The same for a queue's ``filter``: ``tags`` and ``deployment_ids``, each may be null."""
    asked = {"tags": filter.get("tags") or [], "deployment_ids": filter.get("deployment_ids") or []}
    return await db.fetch(_due(_OF_FILTER), workspace_id, asked, before, slots, limit)


def _due(which: str) -> str:
    return f"""
        SELECT r.*, clock_timestamp() AS now, {SURROUNDINGS}
        FROM flow_run r {SURROUNDING_JOINS}
        WHERE {_DUE} AND {which}
        ORDER BY r.next_scheduled_start_time, r.id
        LIMIT greatest(0, least($5::int, CASE WHEN $4::int IS NOT NULL THEN
            $4::int - (SELECT count(*) FROM flow_run r WHERE {_HELD} AND {which})
        END))
    """


async def late_runs(db: Executor, queue_id: UUID) -> int:
    """How many runs of the queue are late."""
    count: int = await db.fetchval(
        """
        SELECT count(*) FROM flow_run
        WHERE work_queue_id = $1 AND state_type = 'SCHEDULED' AND state_name = 'Late'
        """,
        queue_id,
    )
    return count


async def in_flight(
    db: Executor, workspace_id: UUID, name: str, *, limit: int, offset: int
) -> tuple[list[Record], int]:
    """A page of the runs that hold slots of the queue of that name, by id, and how many there are."""
    runs = await db.fetch(
        f"""
        SELECT r.id, r.name, r.state_type, r.state_name, r.start_time, r.state_timestamp, clock_timestamp() AS now
        FROM flow_run r WHERE {_HELD} AND {_OF_NAME} ORDER BY r.id LIMIT $3 OFFSET $4
        """,
        workspace_id,
        name,
        limit,
        offset,
    )
    total: int = await db.fetchval(f"SELECT count(*) FROM flow_run r WHERE {_HELD} AND {_OF_NAME}", workspace_id, name)
    return runs, total
