"""How far services that run all the time are behind what they have to do, counted as far as counting is cheap."""

from typing import Any, TypeAlias

from sempre.db.pool import Executor

__all__ = ["MOST_COUNTED", "OVERDUE_SECONDS", "Behind", "actions_due", "events_behind"]

MOST_COUNTED = 10_000  # there may be more

# ``events`` or ``actions`` (a number), and ``oldest_seconds``: how long the first of them has been waiting, or None.
Behind: TypeAlias = dict[str, Any]

# Of a row of ``service``, as SQL. A round that somebody died in is overdue since its lease ran out.
OVERDUE_SECONDS = "greatest(extract(epoch FROM now() - coalesce(lease_until, next_run)), 0)::float8"

# The slowest shard counts.
_EVENTS = """
SELECT (SELECT count(*) FROM (SELECT FROM event WHERE seq > c.position LIMIT $2) unread) AS events,
       (SELECT greatest(extract(epoch FROM now() - received), 0)::float8
        FROM event WHERE seq > c.position ORDER BY seq LIMIT 1) AS oldest_seconds
FROM (SELECT min(position) AS position FROM event_consumer WHERE name = $1) c WHERE c.position IS NOT NULL
"""

# Of one that is claimed or waits for its next attempt, ``due`` is in the future.
_ACTIONS = """
SELECT count(*) AS actions, extract(epoch FROM now() - min(due))::float8 AS oldest_seconds
FROM (
    SELECT due FROM automation_action
    WHERE status IN ('ready', 'running') AND due <= now() AND outside IN (false, true)
    ORDER BY outside, due LIMIT $1
) waiting
"""


async def events_behind(consumer: str, db: Executor) -> Behind | None:
    """Of a consumer of the event log; ``None`` for one that never read it."""
    row = await db.fetchrow(_EVENTS, consumer, MOST_COUNTED)
    return dict(row) if row else None


async def actions_due(db: Executor) -> Behind:
    """Actions that may be claimed, and are not."""
    (row,) = await db.fetch(_ACTIONS, MOST_COUNTED)
    return dict(row)
