"""Actions that automations owe, as rows that are claimed, retried and finished.

A claim is a lease: who dies lets go of it by itself, and who finishes late, after another has claimed, finishes
nothing. ``due`` is when a row may be claimed next, so that waiting, retrying and running are one thing.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sempre.db.pool import Executor, Record

__all__ = ["CLAIM_SECONDS", "claim", "finish", "give_back", "renew", "retry", "seconds_until_due"]

CLAIM_SECONDS = 60.0

_WAITING = "status IN ('ready', 'running')"
_DUE = f"{_WAITING} AND due <= statement_timestamp()"

_CLAIM = f"""
WITH inner_ones AS (
    SELECT id FROM automation_action WHERE {_DUE} AND NOT outside
    ORDER BY due, id LIMIT $2 FOR UPDATE SKIP LOCKED
), outer_ones AS (
    SELECT id FROM automation_action WHERE {_DUE} AND outside
    ORDER BY due, id LIMIT $3 FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE automation_action a SET
        status = 'running', claimed_by = $1, attempts = attempts + 1,
        claimed_until = clock_timestamp() + make_interval(secs => $4),
        due = clock_timestamp() + make_interval(secs => $4)
    WHERE a.id IN (SELECT id FROM inner_ones UNION ALL SELECT id FROM outer_ones)
    RETURNING a.*
)
SELECT c.id, c.workspace_id, c.action_index, c.action, c.triggered_by, c.attempts, c.outside,
       f.automation, f.firing, f.event AS told
FROM claimed c JOIN automation_firing f ON f.id = c.firing_id
ORDER BY f.fired_at, c.firing_id, c.action_index
"""

_NEXT = f"""
SELECT extract(epoch FROM least(
    (SELECT min(due) FROM automation_action WHERE {_WAITING} AND NOT outside AND $1::boolean),
    (SELECT min(due) FROM automation_action WHERE {_WAITING} AND outside AND $2::boolean)
) - clock_timestamp())::float
"""


async def claim(db: Executor, owner: UUID, *, inside: int, outside: int) -> list[Record]:
    """Claim actions that are due, at most so many of those that reach the ``outside`` and of all others (``inside``),
    with the firings that they come of.
    """
    if inside <= 0 and outside <= 0:
        return []
    return await db.fetch(_CLAIM, owner, max(0, inside), max(0, outside), CLAIM_SECONDS)


async def renew(db: Executor, id: UUID, owner: UUID, attempts: int) -> bool:
    """Begin the time of a claim anew. ``False``: it is no longer ours."""
    renewed = await db.fetchval(
        """
        UPDATE automation_action SET
            claimed_until = clock_timestamp() + make_interval(secs => $4),
            due = clock_timestamp() + make_interval(secs => $4)
        WHERE id = $1 AND claimed_by = $2 AND attempts = $3 AND status = 'running'
        RETURNING true
        """,
        id,
        owner,
        attempts,
        CLAIM_SECONDS,
    )
    return renewed is not None


async def finish(tx: Executor, id: UUID, owner: UUID, attempts: int, *, failed: bool, outcome: dict[str, Any]) -> bool:
    """Record how an action ended. ``False``: the claim is no longer ours, and nothing was written."""
    finished = await tx.fetchval(
        """
        UPDATE automation_action SET
            status = CASE WHEN $4 THEN 'failed' ELSE 'done' END, outcome = $5, finished = clock_timestamp(),
            claimed_by = NULL, claimed_until = NULL
        WHERE id = $1 AND claimed_by = $2 AND attempts = $3 AND status = 'running'
        RETURNING true
        """,
        id,
        owner,
        attempts,
        failed,
        outcome,
    )
    return finished is not None


async def retry(db: Executor, id: UUID, owner: UUID, attempts: int, after: timedelta) -> None:
    """Let go of an action, to be tried again after a while."""
    await db.execute(
        """
        UPDATE automation_action SET
            status = 'ready', claimed_by = NULL, claimed_until = NULL, due = clock_timestamp() + $4
        WHERE id = $1 AND claimed_by = $2 AND attempts = $3 AND status = 'running'
        """,
        id,
        owner,
        attempts,
        after,
    )


async def give_back(db: Executor, id: UUID, owner: UUID, attempts: int) -> None:
    """Let go of an action that was not begun, as if it had not been claimed."""
    await db.execute(
        """
        UPDATE automation_action SET
            status = 'ready', claimed_by = NULL, claimed_until = NULL, due = clock_timestamp(), attempts = attempts - 1
        WHERE id = $1 AND claimed_by = $2 AND attempts = $3 AND status = 'running'
        """,
        id,
        owner,
        attempts,
    )


async def seconds_until_due(db: Executor, *, inside: bool, outside: bool) -> float | None:
    """How long until the next action may be claimed, of those that reach the ``outside`` or of all others
    (``inside``) or of both; ``None``: there is none.
    """
    seconds = await db.fetchval(_NEXT, inside, outside)
    return None if seconds is None else max(0.0, float(seconds))
