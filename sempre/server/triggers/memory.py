"""What a shard remembers from one commit to the next, beside its cursor."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sempre.core.triggers.clock import EventsClock

__all__ = ["Memory"]


@dataclass
class Memory:
    """``last_firing``: the time of the latest firing. ``waiting``: how many events wait for the one they follow."""

    clock: EventsClock
    last_firing: datetime | None
    waiting: int

    @classmethod
    def read(cls, state: Any) -> "Memory":
        state = state or {}
        latest, firing = state.get("latest"), state.get("last_firing")
        clock = EventsClock(
            datetime.fromisoformat(latest) if latest else None, timedelta(seconds=state.get("behind", 0.0))
        )
        return cls(clock, datetime.fromisoformat(firing) if firing else None, state.get("waiting", 0))

    def write(self) -> dict[str, Any]:
        return {
            "latest": self.clock.latest and self.clock.latest.isoformat(),
            "behind": self.clock.behind.total_seconds(),
            "last_firing": self.last_firing and self.last_firing.isoformat(),
            "waiting": self.waiting,
        }
