"""Events that came before the one they follow, in the database."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sempre.core.triggers.model import EventKey
from sempre.db.pool import Executor, Record

__all__ = ["load", "seen", "write"]

# More than these wait only if a client invents leaders; the oldest are let go first.
_MOST = 10_000


async def load(db: Executor, shard: int) -> list[Record]:
    """The events that wait, as rows of the log."""
    return await db.fetch(
        """
        SELECT e.seq, e.workspace_id, e.occurred, e.event, e.resource, e.related, e.payload, e.id, e.follows, e.received
        FROM automation_waiting_event w JOIN event e ON e.seq = w.number AND e.occurred = w.occurred
        WHERE w.shard = $1 ORDER BY w.number LIMIT $2
        """,
        shard,
        _MOST,
    )


async def seen(db: Executor, ids: Iterable[UUID], until: int) -> set[UUID]:
    """Which of these events have a place in the log up to that number."""
    wanted = sorted(ids)
    if not wanted:
        return set()
    rows = await db.fetch("SELECT id FROM event WHERE id = ANY($1::uuid[]) AND seq <= $2", wanted, until)
    return {row["id"] for row in rows}


async def write(tx: Executor, shard: int, wait: Sequence[EventKey], released: Sequence[int]) -> None:
    if released:
        await tx.execute(
            "DELETE FROM automation_waiting_event WHERE shard = $1 AND number = ANY($2::bigint[])",
            shard,
            sorted(released),
        )
    if wait:
        await tx.execute(
            """
            INSERT INTO automation_waiting_event (shard, number, occurred)
            SELECT $1, * FROM unnest($2::bigint[], $3::timestamptz[])
            """,
            shard,
            [key.number for key in wait],
            [key.occurred for key in wait],
        )
