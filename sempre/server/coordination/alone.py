"""Coordination switched off: every replica runs every interval. What remains is each replica's own clock."""

import time
from collections.abc import Sequence

from sempre.server.coordination.turns import Answer, Turn, Wanted

__all__ = ["EveryReplica"]


class EveryReplica:
    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._started: dict[str, float] = {}

    async def take(self, wanted: Sequence[Wanted]) -> Answer:
        now = time.monotonic()
        waits = {each.service: self._due.get(each.service, now) - now for each in wanted}
        due = [each for each in wanted if waits[each.service] <= 0]
        for each in due:
            del waits[each.service]
            self._started[each.service] = now
            self._due[each.service] = now + each.interval
        return Answer([Turn(each.service, 0) for each in due], waits)

    async def renew(self, turns: Sequence[Turn]) -> None:
        """Nobody else waits for these turns."""

    async def finish(self, turn: Turn, *, interval: float, patience: float, seconds: float, error: str | None) -> bool:
        now = time.monotonic()
        self._due[turn.service] = max(now, self._started.get(turn.service, now) + interval) + patience
        return True

    async def release(self, turns: Sequence[Turn]) -> None:
        """Nobody else waits for these turns."""
