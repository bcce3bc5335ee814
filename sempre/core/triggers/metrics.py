"""Metric triggers: how runs of late compare with a threshold, and for how long they have done so.

What runs were like is kept as counts and sums in slots of time, a sixtieth of the trigger's range each. So a value
changes only where a slot ends, and that is where it is looked at: whoever looks later, or less often, finds the same.
"""

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

__all__ = ["KEPT_SLOTS", "MetricQuery", "Past", "Sample", "Standing", "Turn", "advance", "sample", "slot_of"]

_SLOTS = 60
# Ends of slots that are looked at in one go, if nobody did for long; of older ones nothing is known any more.
_MOST_LOOKS = 2000
KEPT_SLOTS = _MOST_LOOKS + _SLOTS + 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOLDS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """A mean over the runs of the last ``range``, compared with ``threshold``.

    ``successes``: 1 for a run that completed, 0 for one that ended otherwise. ``duration``: seconds that a run which
    ended had been running. ``lateness``: seconds after its time at which a run started.
    """

    name: str
    operator: str
    threshold: float
    range: timedelta
    firing_for: timedelta

    @property
    def slot(self) -> timedelta:
        return self.range // _SLOTS

    def holds(self, value: float) -> bool:
        return bool(_HOLDS[self.operator](value, self.threshold))


class Sample(NamedTuple):
    """So many runs, and the sum of what they were like."""

    runs: int
    total: float

    def plus(self, other: "Sample") -> "Sample":
        return Sample(self.runs + other.runs, self.total + other.total)


class Past(NamedTuple):
    """A state that a run was in. ``scheduled``: for when it was scheduled, if it was."""

    type: str
    name: str
    timestamp: datetime
    scheduled: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether the trigger is firing, as looked at until ``at``, which is the end of a slot; and since when, if so, the
    value has been on the other side."""

    at: datetime
    firing: bool = False
    contrary_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """The trigger began to fire, or ceased to."""

    firing: bool
    at: datetime
    value: float


def slot_of(query: MetricQuery, time: datetime) -> datetime:
    """The beginning of the slot that a time is in."""
    return _EPOCH + (time - _EPOCH) // query.slot * query.slot


def sample(query: MetricQuery, state_type: str, at: datetime, history: Sequence[Past]) -> Sample | None:
    """What a run that entered a state is like, if that is the moment to look at it. ``history`` has the states it was
    in, in order; it plays no part for ``successes``."""
    until = [past for past in history if past.timestamp <= at]
    if query.name == "lateness":
        late = _lateness(until, at) if state_type == "RUNNING" else None
        return None if late is None else Sample(1, late)
    if state_type not in _FINAL:
        return None
    if query.name == "successes":
        return Sample(1, float(state_type == "COMPLETED"))
    stretches = [
        (following.timestamp - past.timestamp).total_seconds()
        for past, following in pairwise(until)
        if past.type == "RUNNING"
    ]
    return Sample(1, sum(stretches)) if stretches else None


def _lateness(history: Sequence[Past], at: datetime) -> float | None:
    """``None``: it did not start now for the first time, or nobody had said when it should."""
    if any(past.type == "RUNNING" and past.timestamp < at for past in history):
        return None
    # Waiting for a slot puts off a run's time, but that is what makes it late.
    planned = [past for past in history if past.type == "SCHEDULED" and past.name != "AwaitingConcurrencySlot"]
    if not planned:
        return None
    due = planned[-1].scheduled or planned[-1].timestamp
    return max(0.0, (at - due).total_seconds())


def advance(
    query: MetricQuery, standing: Standing | None, slots: Mapping[datetime, Sample], as_of: datetime
) -> tuple[Standing, tuple[Turn, ...]]:
    """Time has come to ``as_of``. ``slots`` are those of the range before each end of a slot since ``standing``.

    A range without any run says nothing: it neither fires nor ends a firing, and ends the time for which the value has
    been where it was.
    """
    end = slot_of(query, as_of)
    if standing is None:
        return Standing(end), ()
    turns: list[Turn] = []
    for at in _ends(query, standing.at, end):
        value = _value(query, slots, at)
        contrary = value is not None and query.holds(value) != standing.firing
        if value is None or not contrary:
            standing = replace(standing, contrary_since=None)
            continue
        since = standing.contrary_since or at
        if at - since < query.firing_for:
            standing = replace(standing, contrary_since=since)
            continue
        standing = Standing(at, not standing.firing)
        turns.append(Turn(standing.firing, at, value))
    return replace(standing, at=max(standing.at, end)), tuple(turns)


def _ends(query: MetricQuery, after: datetime, last: datetime) -> Iterator[datetime]:
    count = min((last - after) // query.slot, _MOST_LOOKS)
    return (last - query.slot * left for left in range(count - 1, -1, -1))


def _value(query: MetricQuery, slots: Mapping[datetime, Sample], at: datetime) -> float | None:
    seen = [found for back in range(1, _SLOTS + 1) if (found := slots.get(at - query.slot * back)) is not None]
    runs = sum(one.runs for one in seen)
    return sum(one.total for one in seen) / runs if runs else None
