"""Spans of time that events are counted in: pure arithmetic, in whole microseconds."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sempre.schemas.events import TimeUnit

__all__ = ["MAX_SPANS", "PIVOT", "Spans"]

PIVOT = datetime(2024, 4, 1, tzinfo=UTC)  # a Monday, so that weeks begin on one
MAX_SPANS = 1000

_MICROSECOND = timedelta(microseconds=1)
_UNITS = {
    TimeUnit.week: timedelta(days=7),
    TimeUnit.day: timedelta(days=1),
    TimeUnit.hour: timedelta(hours=1),
    TimeUnit.minute: timedelta(minutes=1),
    TimeUnit.second: timedelta(seconds=1),
}


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans of ``interval`` units each, counted from the pivot."""

    unit: TimeUnit
    interval: float

    @property
    def step(self) -> timedelta:
        return _UNITS[self.unit] * self.interval

    def number(self, since: datetime, until: datetime) -> int:
        """How many spans the time between takes, rounded up."""
        return math.ceil((until - since) / self.step)

    def index(self, moment: datetime) -> int:
        return (moment - PIVOT) // self.step

    def bounds(self, index: int) -> tuple[datetime, datetime]:
        """First and last microsecond of a span."""
        start = PIVOT + index * self.step
        return start, start + self.step - _MICROSECOND

    def last_moment(self, until: datetime, now: datetime) -> datetime:
        """``until``; if that is in the future, at most the end of the unit that ``now`` is in."""
        if until <= now:
            return until
        unit = _UNITS[self.unit]
        return min(until, PIVOT + ((now - PIVOT) // unit + 1) * unit - _MICROSECOND)
