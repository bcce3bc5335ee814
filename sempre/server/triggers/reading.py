"""Events from the log, by where they stand in it: as triggers look at them, and whole for whoever is told of them."""

import asyncio
from collections.abc import Iterable
from typing import Any

from sempre.core.triggers.model import Event, EventKey
from sempre.db.pool import Executor, Record
from sempre.server.events.queries import event_to_wire

__all__ = ["LOOKED_AT", "Reading", "RecentEvents", "event_of"]

# What triggers look at. Payloads may be large and are nobody's concern before something fires.
LOOKED_AT = "e.seq, e.workspace_id, e.occurred, e.event, e.resource, e.related, e.id, e.follows, e.received"
# The times confine the search to the partitions in question.
_EVENTS = """
SELECT {columns} FROM event e WHERE e.seq = ANY($1::bigint[]) AND e.occurred BETWEEN $2 AND $3
"""
_LOOKED_AT = _EVENTS.format(columns=LOOKED_AT)
_WHOLE = _EVENTS.format(columns=f"{LOOKED_AT}, e.payload")


class RecentEvents:
    """The events that any shard of this process has read lately, as triggers look at them: the shards go through the
    same log at much the same time, and one of them reads for all."""

    def __init__(self, most: int = 2000) -> None:
        self._most = most
        self._events: dict[EventKey, Event] = {}
        self._reading = asyncio.Lock()

    async def at(self, db: Executor, keys: Iterable[EventKey]) -> list[Event]:
        """The events of these keys, in that order, but for those that are gone from the log."""
        wanted = list(keys)
        if all(key in self._events for key in wanted):
            return [self._events[key] for key in wanted]
        async with self._reading:
            rows = await _read(db, _LOOKED_AT, {key for key in wanted if key not in self._events})
            found = [
                self._events.get(key) or event_of(rows[key]) for key in wanted if key in self._events or key in rows
            ]
            self._events.update((event.key, event) for event in found)
            for key in list(self._events)[: max(0, len(self._events) - self._most)]:
                del self._events[key]
        return found


class Reading:
    """Whole events that were read, by their keys. One that is gone from the log is missing."""

    def __init__(self) -> None:
        self._rows: dict[EventKey, Record] = {}
        self._documents: dict[EventKey, dict[str, Any]] = {}

    def document(self, key: EventKey) -> dict[str, Any] | None:
        """The event as clients know it."""
        if key in self._documents:
            return self._documents[key]
        row = self._rows.get(key)
        return None if row is None else event_to_wire(row)

    async def add(self, db: Executor, keys: Iterable[EventKey]) -> None:
        missing = {key for key in keys if key not in self._rows}
        self._rows.update(await _read(db, _WHOLE, missing))

    def keep(self, key: EventKey, document: dict[str, Any]) -> None:
        """Use this for an event that the log may have lost by now."""
        self._documents[key] = document


async def _read(db: Executor, sql: str, keys: Iterable[EventKey]) -> dict[EventKey, Record]:
    ordered = sorted(keys)
    if not ordered:
        return {}
    times = [key.occurred for key in ordered]
    rows = await db.fetch(sql, [key.number for key in ordered], min(times), max(times))
    return {EventKey(row["seq"], row["occurred"]): row for row in rows}


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
        row["workspace_id"],
    )
