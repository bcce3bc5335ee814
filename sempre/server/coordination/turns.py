"""Whose turn a periodic service is. An optimisation, never a correctness requirement: every service stays correct when
all replicas run it at once.
"""

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Coordination", "Turn"]


@dataclass(frozen=True, slots=True)
class Turn:
    """The answer to "may I run it now?": ``taken``, or how many seconds until it may be due."""

    taken: bool
    wait: float = 0.0


class Coordination(Protocol):
    """Intervals run from start to start. Every method may raise DatabaseUnavailable."""

    async def take(self, service: str, interval: float) -> Turn:
        """Take the service's turn if it is due. The next one is then due ``interval`` seconds from now."""

    async def extend(self, service: str, interval: float) -> None:
        """The round goes on: keep the next turn ``interval`` seconds away, unless it is no longer ours."""

    async def finish(self, service: str, *, seconds: float, next_in: float, error: str | None) -> None:
        """The round ended after ``seconds``; the next turn is due in ``next_in`` seconds."""

    async def release(self, *services: str) -> None:
        """Give turns back whose round was cut off: they are due at once, for whoever comes first."""
