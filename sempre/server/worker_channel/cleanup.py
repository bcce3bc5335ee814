"""The durable queue of infrastructure that workers are to tear down.

A message is delivered to one worker at a time, under a token and a lease, and again to whoever comes next if it is not
acknowledged in time. Time is the database's; every operation is one statement.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sempre.db.pool import Executor, Record
from sempre.server.ids import new_id

__all__ = [
    "KINDS",
    "TIMED_OUT",
    "Outcome",
    "acknowledge",
    "claim",
    "enqueue",
    "forget_finished",
    "give_back",
    "release",
    "renew",
    "requeue_expired",
    "topic",
]

TIMED_OUT = "cancelling_timeout_teardown.v1"
KINDS = frozenset({TIMED_OUT, "pending_claim_teardown.v1"})

_GAVE_UP = "max_delivery_attempts_reached"

# So long a message is kept for workers that serve the run's own queue.
_PREFERENCE = timedelta(seconds=2)


def topic(pool_id: UUID) -> str:
    """The doorbell's topic for new messages of a pool."""
    return f"cleanup:{pool_id}"


async def enqueue(
    transaction: Executor,
    workspace_id: UUID,
    flow_run_id: UUID,
    *,
    state_id: UUID,
    kind: str = TIMED_OUT,
    data: dict[str, Any] | None = None,
) -> UUID | None:
    """Ask the workers of a run's pool to tear down what it ran in; the pool's id, whose :func:`topic` is to be rung.

    Once per run, ``kind`` and ``state_id`` (the state that ended the run). ``None`` if no worker is to do it: the run
    has no queue, or its pool is one that has no workers.
    """
    pool_id: UUID | None = await transaction.fetchval(
        """
        WITH target AS (
            SELECT p.id AS work_pool_id, q.id AS work_queue_id, r.id, r.infrastructure_pid
            FROM flow_run r JOIN work_queue q ON q.id = r.work_queue_id JOIN work_pool p ON p.id = q.work_pool_id
            WHERE r.id = $3 AND r.workspace_id = $2 AND p.type !~ ':(push|managed)$'
        ), message AS (
            INSERT INTO worker_cleanup (
                id, workspace_id, work_pool_id, work_queue_id, idempotency_key, kind, target, data
            )
            SELECT $1, $2, work_pool_id, work_queue_id, concat_ws(':', $4::text, id, $5::uuid), $4,
                jsonb_build_object('flow_run_id', id, 'infrastructure_pid', infrastructure_pid), $6::jsonb
            FROM target
            ON CONFLICT (work_pool_id, idempotency_key) DO NOTHING
        )
        SELECT work_pool_id FROM target
        """,
        new_id(),
        workspace_id,
        flow_run_id,
        kind,
        state_id,
        data or {},
    )
    return pool_id


async def claim(
    db: Executor, pool_id: UUID, *, queue_ids: list[UUID], kinds: list[str], limit: int, lease: float, attempts: int
) -> list[Record]:
    """Reserve up to ``limit`` messages for ``lease`` seconds.

    Those of ``queue_ids`` come first; those of other queues wait a moment for the workers who serve them.
    """
    return await db.fetch(
        """
        WITH open AS MATERIALIZED (
            SELECT id FROM worker_cleanup
            WHERE work_pool_id = $1 AND status IN ('ready', 'reserved') AND kind = ANY($3) AND delivery_count < $6
                AND (status = 'ready' OR reserved_until <= clock_timestamp())
                AND (work_queue_id = ANY($2) OR created <= clock_timestamp() - $7::interval)
            ORDER BY work_queue_id = ANY($2) DESC NULLS LAST, created, id LIMIT $4
            FOR UPDATE SKIP LOCKED
        )
        UPDATE worker_cleanup c SET
            status = 'reserved', reservation_token = gen_random_uuid(), delivery_count = c.delivery_count + 1,
            reserved_until = clock_timestamp() + make_interval(secs => $5::float8)
        FROM open WHERE c.id = open.id RETURNING c.*
        """,
        pool_id,
        queue_ids,
        kinds,
        limit,
        lease,
        attempts,
        _PREFERENCE,
    )


async def give_back(db: Executor, pool_id: UUID, reserved: dict[UUID, UUID]) -> None:
    """Open messages again, by id and token, that were reserved and never sent: that was no delivery."""
    await db.execute(
        """
        WITH unsent AS MATERIALIZED (
            SELECT c.id FROM worker_cleanup c JOIN unnest($2::uuid[], $3::uuid[]) AS r(id, token)
                ON r.id = c.id AND r.token = c.reservation_token
            WHERE c.work_pool_id = $1 AND c.status = 'reserved' ORDER BY c.id FOR UPDATE OF c
        )
        UPDATE worker_cleanup c SET status = 'ready', reservation_token = NULL, delivery_count = delivery_count - 1
        FROM unsent WHERE c.id = unsent.id
        """,
        pool_id,
        list(reserved),
        list(reserved.values()),
    )


Outcome = tuple[str, datetime | None]

# The statuses that an operation's answer has: accepted, or why not. A message of another pool is not there.
_VERDICT = """
    CASE
        WHEN status = 'dead' THEN 'dead_lettered'
        WHEN status <> 'reserved' THEN 'not_current'
        WHEN reservation_token <> $3 THEN 'invalid_token'
        WHEN reserved_until <= clock_timestamp() THEN 'expired'
        ELSE 'accepted'
    END
"""


async def acknowledge(db: Executor, pool_id: UUID, message_id: UUID, token: UUID) -> Outcome:
    """The message is done."""
    return await _operate(db, pool_id, message_id, token, "status = 'done', reservation_token = NULL")


async def release(
    db: Executor, pool_id: UUID, message_id: UUID, token: UUID, *, reason: str | None, attempts: int
) -> Outcome:
    """Give the message back; after ``attempts`` deliveries it is dead."""
    changes = f"""
        status = CASE WHEN c.delivery_count < $4::int THEN 'ready' ELSE 'dead' END, reservation_token = NULL,
        reason = CASE WHEN c.delivery_count < $4 THEN $5::text ELSE '{_GAVE_UP}' END
    """
    return await _operate(db, pool_id, message_id, token, changes, attempts, reason)


async def renew(db: Executor, pool_id: UUID, message_id: UUID, token: UUID, *, lease: float) -> Outcome:
    """Keep the message for another ``lease`` seconds; the time when that ends is in the outcome."""
    changes = "reserved_until = clock_timestamp() + make_interval(secs => $4::float8)"
    status, _ = outcome = await _operate(db, pool_id, message_id, token, changes, lease)
    return outcome if status == "accepted" else (status, None)


async def _operate(db: Executor, pool_id: UUID, message_id: UUID, token: UUID, changes: str, *values: Any) -> Outcome:
    row = await db.fetchrow(
        f"""
        WITH held AS MATERIALIZED (
            SELECT *, {_VERDICT} AS verdict FROM worker_cleanup
            WHERE id = $1 AND work_pool_id = $2 FOR UPDATE
        ), changed AS (
            UPDATE worker_cleanup c SET {changes}
            FROM held WHERE c.id = held.id AND held.verdict = 'accepted'
            RETURNING c.status, c.reserved_until
        )
        SELECT held.verdict, changed.status, changed.reserved_until FROM held LEFT JOIN changed ON true
        """,
        message_id,
        pool_id,
        token,
        *values,
    )
    if row is None:
        return "not_found", None
    return row["verdict"], row["reserved_until"]


async def requeue_expired(db: Executor, *, attempts: int, limit: int) -> list[Record]:
    """Open messages again whose lease ran out, or give them up; ``work_pool_id`` and ``status`` of each."""
    return await db.fetch(
        """
        WITH expired AS MATERIALIZED (
            SELECT id FROM worker_cleanup
            WHERE status IN ('ready', 'reserved') AND (
                status = 'reserved' AND reserved_until <= clock_timestamp()
                OR status = 'ready' AND delivery_count >= $1
            )
            ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
        )
        UPDATE worker_cleanup c SET
            status = CASE WHEN c.delivery_count < $1 THEN 'ready' ELSE 'dead' END, reservation_token = NULL,
            reason = CASE WHEN c.delivery_count < $1 THEN c.reason ELSE $3 END
        FROM expired WHERE c.id = expired.id RETURNING c.work_pool_id, c.status
        """,
        attempts,
        limit,
        _GAVE_UP,
    )


async def forget_finished(db: Executor, *, age: float, limit: int) -> int:
    """Delete messages made more than ``age`` seconds ago that are done or dead; their keys may be used again."""
    status = await db.execute(
        """
        DELETE FROM worker_cleanup WHERE id IN (
            SELECT id FROM worker_cleanup
            WHERE status IN ('done', 'dead') AND created < clock_timestamp() - make_interval(secs => $1::float8)
            ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
        )
        """,
        age,
        limit,
    )
    return int(status.rpartition(" ")[2])
