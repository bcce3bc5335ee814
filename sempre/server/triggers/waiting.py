"""Events that came before the one they follow, in the database."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sempre.core.triggers.model import EventKey
from sempre.db.pool import Executor, Record
from sempre.server.triggers.reading import LOOKED_AT

__all__ = ["count_and_lost", "load", "numbers", "write"]

# More than these wait only if a client invents leaders; the oldest are let go first.
_MOST = 10_000


async def load(db: Executor, shard: int) -> list[Record]:
    """The events that wait, as rows of the log."""
    return await db.fetch(
        f"""
        SELECT {LOOKED_AT}
        FROM automation_waiting_event w JOIN event e ON e.seq = w.number AND e.occurred = w.occurred
        WHERE w.shard = $1 ORDER BY w.number LIMIT $2
        """,
        shard,
        _MOST,
    )


async def count_and_lost(db: Executor, shard: int) -> tuple[int, list[int]]:
    """How many events wait, and the numbers of those among them that the log has no more."""
    row = await db.fetchrow(
        """
        SELECT count(*) AS count, coalesce(array_agg(w.number) FILTER (
            WHERE NOT EXISTS (SELECT FROM event e WHERE e.seq = w.number AND e.occurred = w.occurred)
        ), '{}') AS lost FROM automation_waiting_event w WHERE w.shard = $1
        """,
        shard,
    )
    return (0, []) if row is None else (row["count"], row["lost"])


async def numbers(db: Executor, ids: Iterable[UUID]) -> dict[UUID, int]:
    """The numbers in the log of those of these events that are in it."""
    rows = await db.fetch("SELECT id, seq FROM event WHERE id = ANY($1::uuid[])", sorted(ids))
    return {row["id"]: row["seq"] for row in rows}


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
