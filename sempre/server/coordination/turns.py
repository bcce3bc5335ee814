"""Whose turn a periodic service is. An optimisation, never a correctness requirement: every service stays correct when
all replicas run it at once.

A turn is due an interval after the start of the one before, or at once when whoever had it died or gave it back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["LEASE_SECONDS", "LONGEST_PATIENCE", "Answer", "Coordination", "Turn", "Wanted", "patience", "pause"]

# A turn is somebody's for this long and renewed meanwhile; whoever dies is replaced when it has run out.
LEASE_SECONDS = 6.0
LONGEST_PATIENCE = 60.0  # seconds a failing service is kept waiting beyond its interval

_SHORTEST_PAUSE = 0.01


@dataclass(frozen=True, slots=True)
class Wanted:
    """A service whose turn a process would take, if it has been due for ``grace`` seconds. The turn of somebody who
    died is taken without grace."""

    service: str
    interval: float
    grace: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that was taken. ``fence`` tells it from all others of the service, those of the same process included."""

    service: str
    fence: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The turns that were taken, and in how many seconds each of the others falls due or loses its holder; less than
    none for what is due already."""

    taken: Sequence[Turn] = ()
    waits: dict[str, float] = field(default_factory=dict)


class Coordination(Protocol):
    """Every method may raise DatabaseUnavailable."""

    async def take(self, wanted: Sequence[Wanted]) -> Answer:
        """Take what is due of these, all at once."""

    async def renew(self, turns: Sequence[Turn]) -> None:
        """Their rounds go on: keep others away, unless they came already."""

    async def finish(self, turn: Turn, *, interval: float, patience: float, seconds: float, error: str | None) -> bool:
        """The round ended after ``seconds``. The next is due ``interval`` after its start, or now if that is past; and
        then ``patience`` seconds more. ``False``, and nothing happens, if the turn is another's by now."""

    async def release(self, turns: Sequence[Turn]) -> None:
        """Give turns back whose round was cut off: they are due at once, for whoever comes first."""


def patience(failures: int, interval: float) -> float:
    """Extra seconds before the next round of a service that failed so often in a row. Once is no reason to wait."""
    return min(interval * (2 ** min(failures, 10) - 2), LONGEST_PATIENCE) if failures > 1 else 0.0


def pause(waits: Iterable[float], longest: float) -> float:
    """Seconds until to ask again: when the next turn falls due, but within ``longest``, as rows change unannounced."""
    return max(_SHORTEST_PAUSE, min([longest, *waits]))
