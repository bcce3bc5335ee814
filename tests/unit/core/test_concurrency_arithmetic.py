"""Decay, waits and averages: the examples of the protocol, and jitter."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sempre.core.concurrency import (
    Limit,
    Waits,
    average_occupancy,
    blocking_limit,
    decayed_active,
    decayed_denied,
    fits,
    mean_wait,
    retry_after,
)
from sempre.core.jitter import clamped_exponential

WAITS = Waits()


def test_rate_limit_reads() -> None:
    reads = [decayed_active(Limit("r", 3, active_slots=3, slot_decay_per_second=0.5, elapsed=t)) for t in (1, 2, 3, 4)]
    assert reads == [3, 2, 2, 1]
    assert decayed_active(Limit("r", 3, active_slots=3, slot_decay_per_second=0.5, elapsed=-9)) == 3
    assert decayed_active(Limit("r", 3, active_slots=3, slot_decay_per_second=1e308, elapsed=1e308)) == 0
    assert decayed_active(Limit("r", 3, active_slots=3, elapsed=1e9)) == 3


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (Limit("a", 1, denied_slots=5, avg_slot_occupancy_seconds=2.0, elapsed=5), 3),
        (Limit("a", 1, denied_slots=5, avg_slot_occupancy_seconds=0.0, elapsed=0.3), 2),
        (Limit("a", 1, denied_slots=5, avg_slot_occupancy_seconds=900.0, elapsed=60), 3),
        (Limit("tag:a", 1, denied_slots=5, avg_slot_occupancy_seconds=900.0, elapsed=20), 3),
        (Limit("a", 1, denied_slots=5, slot_decay_per_second=2.0, elapsed=1.2), 3),
    ],
)
def test_denied_slots_are_forgotten(limit: Limit, expected: int) -> None:
    assert decayed_denied(limit, WAITS) == expected


def test_fits() -> None:
    assert fits(Limit("a", 2, active_slots=1), 1)
    assert not fits(Limit("a", 2, active_slots=1), 2)
    assert not fits(Limit("a", 0), 1)
    assert fits(Limit("a", 0, active=False), 1)


def test_waits() -> None:
    assert mean_wait(Limit("a", 2), 2, WAITS) == 2.0
    assert mean_wait(Limit("a", 5, slot_decay_per_second=0.5), 1, WAITS) == 2.0
    assert mean_wait(Limit("a", 1, denied_slots=400), 2, WAITS) == 30.0
    assert mean_wait(Limit("tag:a", 1, denied_slots=400), 2, WAITS) == 10.0
    assert mean_wait(Limit("a", 1, denied_slots=99, slot_decay_per_second=1.0), 1, WAITS) == 100.0
    assert math.isfinite(mean_wait(Limit("a", 0), 1, WAITS))


def test_blocking_limit() -> None:
    wide, narrow, off = Limit("wide", 10), Limit("narrow", 1), Limit("off", 1, active=False, denied_slots=99)
    assert blocking_limit([wide, narrow, off], 1) is narrow
    assert blocking_limit([off], 1) is None
    assert retry_after([off], 1, 0.5, WAITS) == 0.0


@given(st.floats(0, 1, exclude_max=True))
def test_retry_after(draw: float) -> None:
    assert 1.50 < retry_after([Limit("a", 2)], 2, draw, WAITS) <= 2.6 + 1e-9


def test_average_occupancy() -> None:
    assert average_occupancy(2.0, 2, 2, 100.0) == 14.0
    assert average_occupancy(14.0, 2, 2, 100.0) == 23.0
    assert average_occupancy(0.1, 1, 4, 0.0) == 0.1
    assert average_occupancy(2.0, 0, 1, 4.0) == 3.0
    assert average_occupancy(2.0, 1, 0, 4.0) == 2.0


@given(st.floats(0, 1), st.floats(0, 1e6), st.floats(0, 1e4))
def test_jitter_stays_within_its_bounds(draw: float, mean: float, factor: float) -> None:
    wait = clamped_exponential(draw, mean, factor)
    assert 0 <= wait <= mean * (1 + factor) * (1 + 1e-9)


@pytest.mark.parametrize(("factor", "low", "high"), [(0.5, 0.629, 1.5), (0.3, 0.752, 1.3), (0.0, 1.0, 1.0)])
def test_jitter_bounds(factor: float, low: float, high: float) -> None:
    assert clamped_exponential(0.0, 10.0, factor) == pytest.approx(10 * low, rel=1e-3)
    assert clamped_exponential(1.0, 10.0, factor) == pytest.approx(10 * high)


def test_jitter_refuses_nonsense() -> None:
    assert clamped_exponential(0.5, 0.0, 0.3) == clamped_exponential(0.5, -1.0, 0.3) == 0.0
    for draw, factor in ((1.5, 0.3), (-0.1, 0.3), (0.5, -1.0), (math.nan, 0.3), (0.5, math.nan)):
        with pytest.raises(ValueError):
            clamped_exponential(draw, 1.0, factor)
