"""What this process remembers of rows it has just read or written, to decide without reading them again.

Memory is never trusted: a decision made on it counts only if its write finds the version it was made on
(:mod:`sempre.server.flow_runs.statements`), and a decision that writes nothing is made again on a fresh read. Names and
tags of a run's surroundings, which only label its events, may lag as long as the memory lasts.
"""

import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

__all__ = ["DatabaseClock", "Recall", "Row"]

Row = Mapping[str, Any]
Key = tuple[UUID, UUID]  # workspace, id


class DatabaseClock:
    """The database's time between two looks at it: its last answer, and how long ago that was."""

    def __init__(self) -> None:
        self._seen: tuple[datetime, float] | None = None

    def observe(self, now: datetime) -> None:
        self._seen = now, time.monotonic()

    def now(self) -> datetime:
        if self._seen is None:
            return datetime.now(UTC)
        seen, then = self._seen
        return seen + timedelta(seconds=time.monotonic() - then)


class Recall:
    """Rows by (workspace, id), at most ``size`` of a kind and none older than ``seconds``."""

    def __init__(self, *, size: int = 10_000, seconds: float = 60.0) -> None:
        self.clock = DatabaseClock()
        self.flow_runs = _Rows(size, seconds)
        self.flows = _Rows(size, seconds)


class _Rows:
    def __init__(self, size: int, seconds: float) -> None:
        self._size = size
        self._seconds = seconds
        self._rows: OrderedDict[Key, tuple[Row, float]] = OrderedDict()

    def get(self, workspace_id: UUID, id: UUID) -> Row | None:
        found = self._rows.get((workspace_id, id))
        if found is None:
            return None
        row, until = found
        if time.monotonic() > until:
            del self._rows[workspace_id, id]
            return None
        return row

    def keep(self, workspace_id: UUID, id: UUID, row: Row) -> None:
        key = workspace_id, id
        self._rows[key] = row, time.monotonic() + self._seconds
        self._rows.move_to_end(key)
        if len(self._rows) > self._size:
            self._rows.popitem(last=False)

    def forget(self, workspace_id: UUID, id: UUID) -> None:
        self._rows.pop((workspace_id, id), None)
