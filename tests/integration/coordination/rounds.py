"""The rounds that processes of the test did."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

from tests.integration.coordination.replica import TABLE
from tests.support.database import Database
from tests.support.wait import eventually


class Rounds:
    """All of them, by the database's clock."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.fetch(TABLE)
        database.fetch("TRUNCATE round")
        database.fetch("TRUNCATE service")

    def of(self, service: str, by: str | None = None) -> list[datetime]:
        rows = self._database.fetch("SELECT name, began FROM round WHERE service = $1 ORDER BY began", service)
        return [row["began"] for row in rows if by is None or row["name"] == by]

    def now(self) -> datetime:
        (row,) = self._database.fetch("SELECT clock_timestamp() AS now")
        now: datetime = row["now"]
        return now

    def wait(self, service: str, count: int, timeout: float, by: str | None = None) -> list[datetime]:
        return eventually(
            lambda: found if len(found := self.of(service, by)) >= count else None,
            f"{count} rounds of {service}",
            timeout,
            detail=lambda: self.of(service, by),
        )

    def wait_until(self, service: str, moment: datetime, timeout: float = 30) -> None:
        """Until a round began after ``moment``."""
        eventually(lambda: self.of(service) and self.of(service)[-1] > moment, f"{service} ran after {moment}", timeout)

    def gaps(self, service: str) -> list[float]:
        """Seconds from the start of a turn to that of the next."""
        rows = self._database.fetch("SELECT turn FROM round WHERE service = $1 ORDER BY turn", service)
        turns = [row["turn"] for row in rows]
        return [(after - before) / timedelta(seconds=1) for before, after in itertools.pairwise(turns)]

    def lost(self, service: str) -> list[int]:
        """Turns between the first round and the last that were taken, and came to nothing."""
        rows = self._database.fetch("SELECT fence FROM round WHERE service = $1 ORDER BY fence", service)
        fences = {row["fence"] for row in rows}
        return sorted(set(range(min(fences), max(fences))) - fences)

    def row(self, service: str) -> dict[str, object]:
        (row,) = self._database.fetch("SELECT * FROM service WHERE name = $1", service)
        return row
