"""Arithmetic of concurrency limits: decay, waiting times, average occupancy."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from sempre.core.jitter import clamped_exponential

__all__ = [
    "INITIAL_OCCUPANCY",
    "JITTER",
    "Limit",
    "Waits",
    "average_occupancy",
    "blocking_limit",
    "decayed_active",
    "decayed_denied",
    "fits",
    "longest_wait",
    "mean_wait",
    "retry_after",
]

INITIAL_OCCUPANCY = 2.0  # seconds a slot is assumed to be held before anything was measured
JITTER = 0.3
_SHORTEST_OCCUPANCY = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit as read: both kinds of slots before decay, and the ``elapsed`` seconds since they were stored."""

    name: str
    limit: int
    active: bool = True
    active_slots: int = 0
    denied_slots: int = 0
    slot_decay_per_second: float = 0.0
    avg_slot_occupancy_seconds: float = INITIAL_OCCUPANCY
    elapsed: float = 0.0


@dataclass(frozen=True, slots=True)
class Waits:
    """The longest waits an operator allows, in seconds: for task tags, and for everything else."""

    tags: float = 10.0
    others: float = 30.0


def longest_wait(name: str, waits: Waits) -> float:
    """Seconds; limits named ``tag:...`` have a wait of their own."""
    return waits.tags if name.startswith("tag:") else waits.others


def _decayed(slots: int, per_second: float, elapsed: float) -> int:
    # A clock that ran backwards must not create slots.
    lost = per_second * max(elapsed, 0.0)
    return max(0, slots - math.floor(lost)) if lost < slots else 0


def decayed_active(limit: Limit) -> int:
    """Slots in use now."""
    return _decayed(limit.active_slots, limit.slot_decay_per_second, limit.elapsed)


def decayed_denied(limit: Limit, waits: Waits) -> int:
    """Slots refused and not yet forgotten; without decay one is forgotten per average occupancy."""
    per_second = limit.slot_decay_per_second
    if per_second <= 0.0:
        longest = longest_wait(limit.name, waits)
        per_second = 1.0 / min(max(limit.avg_slot_occupancy_seconds, _SHORTEST_OCCUPANCY), longest)
    return _decayed(limit.denied_slots, per_second, limit.elapsed)


def fits(limit: Limit, slots: int) -> bool:
    """Whether the limit lets so many more in; an inactive one always does."""
    return not limit.active or decayed_active(limit) + slots <= limit.limit


def _pressure(limit: Limit, slots: int) -> float:
    wanted = slots + limit.denied_slots
    return float(wanted) if limit.slot_decay_per_second > 0.0 else wanted / max(limit.limit, 1)


def blocking_limit(limits: Iterable[Limit], slots: int) -> Limit | None:
    """The active limit under the most pressure; ``None`` if none is active. Ties go to the first."""
    return max((limit for limit in limits if limit.active), key=lambda limit: _pressure(limit, slots), default=None)


def mean_wait(limit: Limit, slots: int, waits: Waits) -> float:
    """Seconds until so many slots may be expected to be free."""
    pressure = _pressure(limit, slots)
    if limit.slot_decay_per_second > 0.0:
        return pressure / limit.slot_decay_per_second
    longest = longest_wait(limit.name, waits)
    return min(min(limit.avg_slot_occupancy_seconds, longest) * pressure, longest)


def retry_after(limits: Iterable[Limit], slots: int, draw: float, waits: Waits) -> float:
    """Seconds for the ``Retry-After`` of a refusal. ``draw`` is uniform in [0, 1)."""
    limit = blocking_limit(limits, slots)
    return 0.0 if limit is None else clamped_exponential(draw, mean_wait(limit, slots, waits), JITTER)


def average_occupancy(average: float, limit: int, slots: int, occupancy: float) -> float:
    """The moving average after ``slots`` were held for ``occupancy`` seconds in all."""
    if slots < 1:
        return average
    each = max(occupancy / slots, _SHORTEST_OCCUPANCY)
    return average + (each - average) / (2 * max(limit, 1))
