"""Actions that automations owe, as rows that are claimed, retried and finished.

A claim is a lease: who dies lets go of it by itself, and who finishes late, after another has claimed, finishes
nothing. ``due`` is when a row may be claimed next, so that waiting, retrying and running are one thing.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sempre.db.pool import Executor, Record

__all__ = ["CLAIM_SECONDS", "claim", "finish", "give_back", "retry", "seconds_until_due"]

CLAIM_SECONDS = 60.0

_CLAIM = """
WITH claimed AS (
    UPDATE automation_action a SET
        status = 'running', claimed_by = $1, attempts = attempts + 1,
        claimed_until = clock_timestamp() + make_interval(secs => $3),
        due = clock_timestamp() + make_interval(secs => $3)
    WHERE a.id IN (
        SELECT id FROM automation_action
        WHERE status IN ('ready', 'running') AND due <= clock_timestamp()
        ORDER BY due, id LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    RETURNING a.*
)
SELECT c.id, c.workspace_id, c.action_index, c.action, c.triggered_by, c.attempts,
       f.automation, f.firing, f.event AS told
FROM claimed c JOIN automation_firing f ON f.id = c.firing_id
ORDER BY f.fired_at, c.firing_id, c.action_index
"""


async def claim(db: Executor, owner: UUID, limit: int) -> list[Record]:
    """Claim actions that are due, with the firings that they come of."""
    return await db.fetch(_CLAIM, owner, limit, CLAIM_SECONDS)


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


async def give_back(db: Executor, owner: UUID, ids: Sequence[UUID]) -> None:
    """Let go of actions that were not begun, as if they had not been claimed."""
    await db.execute(
        """
        UPDATE automation_action SET
            status = 'ready', claimed_by = NULL, claimed_until = NULL, due = clock_timestamp(), attempts = attempts - 1
        WHERE id = ANY($2::uuid[]) AND claimed_by = $1 AND status = 'running'
        """,
        owner,
        sorted(ids),
    )


async def seconds_until_due(db: Executor) -> float | None:
    """How long until the next action may be claimed; ``None``: there is none."""
    seconds = await db.fetchval(
        """
        SELECT extract(epoch FROM min(due) - clock_timestamp())::float FROM automation_action
        WHERE status IN ('ready', 'running')
        """
    )
    return None if seconds is None else max(0.0, float(seconds))
