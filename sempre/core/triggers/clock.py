"""What time it is for those who wait for events that do not come.

The newest event that was handled tells how far behind the events are. Whoever waits for one waits that much longer, so
that late delivery delays an alarm and does not raise a false one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["EventsClock"]

# A client that sends yesterday's events must not hold up everybody else's alarms.
_MOST = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class EventsClock:
    """``latest``: the newest time of an event seen; ``behind``: how long before it was handled that was."""

    latest: datetime | None = None
    behind: timedelta = timedelta(0)

    def after(self, occurred: datetime, now: datetime) -> "EventsClock":
        """An event of that time has been handled at ``now``. One from the future is taken to be of now."""
        seen = min(occurred, now)
        if self.latest is not None and seen <= self.latest:
            return self
        return EventsClock(seen, min(now - seen, _MOST))

    def as_of(self, now: datetime) -> datetime:
        return now - self.behind
