"""The queue of background tasks and the task workers that are connected, both seen by every API server.

A delivery is a claim: it has an id and a deadline, which its server moves while it lives. Everything said about a claim
names its id, so a server that lost its claim cannot touch whoever has the run now.
"""

from uuid import UUID

from sempre.db.pool import Executor, Record

__all__ = ["CLAIM_SECONDS", "claim", "forget_worker", "register_worker", "release", "remove", "renew", "workers"]

CLAIM_SECONDS = 30.0

# Claimers that meet pass each other by; with more of them at once than this some look again a moment later.
_WINDOW = 20

_FREE = "(q.claimed_until IS NULL OR q.claimed_until < now())"

_CLAIM = f"""
WITH candidate AS (
    SELECT next.* FROM unnest($2::text[]) AS asked(task_key)
    CROSS JOIN LATERAL (
        SELECT q.task_run_id, q.is_retry, q.enqueued_at FROM background_task q
        WHERE q.workspace_id = $1 AND q.task_key = asked.task_key AND q.enqueued_at <= now() AND {_FREE}
        ORDER BY q.is_retry DESC, q.enqueued_at LIMIT {_WINDOW}
    ) next
),
chosen AS (
    SELECT q.task_run_id FROM background_task q JOIN candidate c ON c.task_run_id = q.task_run_id
    WHERE q.workspace_id = $1 AND {_FREE}
    ORDER BY c.is_retry DESC, c.enqueued_at LIMIT 1
    FOR UPDATE OF q SKIP LOCKED
),
claimed AS (
    UPDATE background_task q
    SET claimed_by = $3, claimed_until = clock_timestamp() + make_interval(secs => {CLAIM_SECONDS})
    FROM chosen WHERE q.workspace_id = $1 AND q.task_run_id = chosen.task_run_id
    RETURNING q.task_run_id
)
SELECT claimed.task_run_id AS claimed_id, t.*, clock_timestamp() AS now
FROM claimed LEFT JOIN task_run t ON t.workspace_id = $1 AND t.id = claimed.task_run_id
"""


async def claim(db: Executor, workspace_id: UUID, task_keys: list[str], claim_id: UUID) -> Record | None:
    """Claim one waiting run of these tasks: retries first, then the oldest. ``None``: nothing waits.

    The row is the task run as ``rows.to_wire`` takes it, with ``claimed_id``; its ``id`` is null if the run is gone.
    """
    return await db.fetchrow(_CLAIM, workspace_id, task_keys, claim_id)


async def renew(db: Executor, workspace_id: UUID, task_run_id: UUID, claim_id: UUID) -> None:
    await db.execute(
        f"""
        UPDATE background_task SET claimed_until = clock_timestamp() + make_interval(secs => {CLAIM_SECONDS})
        WHERE workspace_id = $1 AND task_run_id = $2 AND claimed_by = $3
        """,
        workspace_id,
        task_run_id,
        claim_id,
    )


async def release(db: Executor, workspace_id: UUID, task_run_id: UUID, claim_id: UUID) -> None:
    """Put the run back where it was in the queue."""
    await db.execute(
        """
        UPDATE background_task SET claimed_by = NULL, claimed_until = NULL
        WHERE workspace_id = $1 AND task_run_id = $2 AND claimed_by = $3
        """,
        workspace_id,
        task_run_id,
        claim_id,
    )


async def remove(db: Executor, workspace_id: UUID, task_run_id: UUID, claim_id: UUID) -> None:
    """Take the run off the queue: it was delivered, or nobody needs to run it."""
    await db.execute(
        "DELETE FROM background_task WHERE workspace_id = $1 AND task_run_id = $2 AND claimed_by = $3",
        workspace_id,
        task_run_id,
        claim_id,
    )


# Workers of servers that died unseen go when the next one says that it is there.
_REGISTER = f"""
WITH lost AS (
    DELETE FROM task_worker WHERE id IN (
        SELECT id FROM task_worker
        WHERE seen_at < clock_timestamp() - make_interval(secs => {2 * CLAIM_SECONDS}) AND id <> $1
        ORDER BY id FOR UPDATE SKIP LOCKED
    )
)
INSERT INTO task_worker (id, workspace_id, identifier, task_keys, seen_at) VALUES ($1, $2, $3, $4, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at
"""


async def register_worker(
    db: Executor, workspace_id: UUID, connection_id: UUID, identifier: str, task_keys: list[str]
) -> None:
    """A task worker is connected, now; repeated while it stays."""
    await db.execute(_REGISTER, connection_id, workspace_id, identifier, task_keys)


async def forget_worker(db: Executor, connection_id: UUID) -> None:
    await db.execute("DELETE FROM task_worker WHERE id = $1", connection_id)


async def workers(db: Executor, workspace_id: UUID, task_keys: list[str]) -> list[Record]:
    """Connected task workers that serve one of the tasks (none named: all of them), by name."""
    return await db.fetch(
        f"""
        SELECT DISTINCT ON (identifier) identifier, task_keys, seen_at AS timestamp FROM task_worker
        WHERE workspace_id = $1 AND (cardinality($2::text[]) = 0 OR task_keys && $2)
            AND seen_at > clock_timestamp() - make_interval(secs => {CLAIM_SECONDS})
        ORDER BY identifier, seen_at DESC
        """,
        workspace_id,
        task_keys,
    )
