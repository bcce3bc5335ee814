"""Coordination switched off: every replica runs every interval. What remains is each replica's own clock."""

import time

from sempre.server.coordination.turns import Turn

__all__ = ["EveryReplica"]


class EveryReplica:
    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    async def take(self, service: str, interval: float) -> Turn:
        now = time.monotonic()
        wait = self._due.get(service, now) - now
        if wait > 0:
            return Turn(False, wait)
        self._due[service] = now + interval
        return Turn(True)

    async def extend(self, service: str, interval: float) -> None:
        """Nobody else waits for this turn."""

    async def finish(self, service: str, *, seconds: float, next_in: float, error: str | None) -> None:
        self._due[service] = time.monotonic() + next_in

    async def release(self, *services: str) -> None:
        """Nobody else waits for these turns."""
