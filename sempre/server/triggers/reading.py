"""Whole events from the log, by where they stand in it."""

from collections.abc import Iterable, Sequence
from typing import Any

from sempre.core.triggers.model import Event, EventKey
from sempre.db.pool import Executor, Record
from sempre.server.events.queries import event_to_wire

__all__ = ["Reading", "event_of", "read_events"]

# The times confine the search to the partitions in question.
_EVENTS = """
SELECT seq, workspace_id, occurred, event, resource, related, payload, id, follows, received
FROM event WHERE seq = ANY($1::bigint[]) AND occurred BETWEEN $2 AND $3
"""


class Reading:
    """Events that were read, by their keys. One that is gone from the log is missing."""

    def __init__(self) -> None:
        self._rows: dict[EventKey, Record] = {}

    def __getitem__(self, key: EventKey) -> Record:
        return self._rows[key]

    def document(self, key: EventKey) -> dict[str, Any] | None:
        """The event as clients know it."""
        row = self._rows.get(key)
        return None if row is None else event_to_wire(row)

    async def add(self, db: Executor, keys: Iterable[EventKey]) -> None:
        missing = sorted({key for key in keys if key not in self._rows})
        if not missing:
            return
        times = [key.occurred for key in missing]
        rows = await db.fetch(_EVENTS, [key.number for key in missing], min(times), max(times))
        self._rows.update((EventKey(row["seq"], row["occurred"]), row) for row in rows)


async def read_events(db: Executor, rows: Sequence[Record]) -> Reading:
    """The whole of events of which ``seq`` and ``occurred`` are at hand."""
    reading = Reading()
    await reading.add(db, (EventKey(row["seq"], row["occurred"]) for row in rows))
    return reading


def event_of(row: Record) -> Event:
    """A row of the log as triggers look at it."""
    return Event(
        row["seq"],
        row["id"],
        row["event"],
        row["occurred"],
        row["received"],
        row["resource"],
        row["related"],
        row["follows"],
    )
