"""What players decide about the runs that they take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sempre.core.dispatching import (
    Adoption,
    Ending,
    Verdict,
    adoption,
    crash_message,
    is_stale,
    next_pause,
    verdict,
    won,
)
from sempre.core.states import TERMINAL, StateType

STATES = st.one_of(st.none(), st.sampled_from(StateType))
CODES = st.one_of(st.none(), st.integers(-64, 255))


@given(st.floats(0.1, 600), st.integers(0, 10_000), st.floats(0, 1))
def test_work_is_looked_for_again_within_bounds(interval: float, failures: int, draw: float) -> None:
    pause = next_pause(interval, failures, draw)
    assert 0.75 * interval <= pause <= 16 * 1.3 * interval + 1e-6


def test_failures_double_the_pause_by_threes_and_four_times_at_most() -> None:
    middle = 0.25 / 0.55  # the draw that changes nothing
    pauses = [round(next_pause(10, failures, middle)) for failures in range(0, 18, 3)]
    assert pauses == [10, 20, 40, 80, 160, 160]
    assert round(next_pause(10, 2, middle)) == 10


def test_stale_after_thirty_intervals() -> None:
    assert not is_stale(299, 10)
    assert is_stale(301, 10)


@pytest.mark.parametrize(
    ("status", "state", "transition", "expected"),
    [
        ("ACCEPT", StateType.PENDING, "mine", True),
        ("REJECT", StateType.PENDING, "mine", True),  # the answer to an earlier attempt was lost
        ("REJECT", StateType.PENDING, "other", False),
        ("ABORT", StateType.PENDING, None, False),
        ("REJECT", StateType.SCHEDULED, "mine", False),  # no slot is free
        ("REJECT", StateType.CANCELLED, None, False),
        ("ABORT", None, None, False),
    ],
)
def test_a_claim_is_won_once(status: str, state: StateType | None, transition: str | None, expected: bool) -> None:
    assert won(status, state, transition, "mine") is expected


@given(CODES, STATES, st.booleans(), st.booleans())
def test_an_end_never_touches_what_is_not_ours(
    code: int | None, state: StateType | None, ours: bool, inside: bool
) -> None:
    found = verdict(code, state, is_its_claim=ours, retries_inside=inside)
    if state is None or state in TERMINAL or state is StateType.PAUSED:
        assert found is Verdict.NOTHING
    if state is StateType.SCHEDULED:
        assert found is (Verdict.CRASHED if inside and code != 0 else Verdict.NOTHING)
    if state is StateType.PENDING and not ours:
        assert found is Verdict.NOTHING
    if state is StateType.CANCELLING:
        assert found is Verdict.CANCELLED
    if found is Verdict.HAND_BACK:
        assert state is StateType.PENDING, "what has begun is not begun again"
        assert code is None
    if found is Verdict.CRASHED:
        assert code != 0


@pytest.mark.parametrize(
    ("code", "state", "expected"),
    [
        (1, StateType.RUNNING, Verdict.CRASHED),
        (-9, StateType.PENDING, Verdict.CRASHED),
        (None, StateType.RUNNING, Verdict.CRASHED),
        (None, StateType.PENDING, Verdict.HAND_BACK),
        (0, StateType.RUNNING, Verdict.NOTHING),
    ],
)
def test_what_an_end_means(code: int | None, state: StateType, expected: Verdict) -> None:
    assert verdict(code, state, is_its_claim=True) is expected


@pytest.mark.parametrize("code", [None, -9])
def test_a_retry_that_nobody_is_left_to_make(code: int | None) -> None:
    assert verdict(code, StateType.SCHEDULED, is_its_claim=False, retries_inside=True) is Verdict.CRASHED
    assert verdict(code, StateType.SCHEDULED, is_its_claim=False) is Verdict.NOTHING, "another process makes it"
    assert verdict(0, StateType.SCHEDULED, is_its_claim=False, retries_inside=True) is Verdict.NOTHING


@given(st.booleans(), STATES, st.booleans())
def test_adoption_hands_back_only_what_was_never_started(started: bool, state: StateType | None, its: bool) -> None:
    found = adoption(started=started, state=state, is_its_claim=its)
    assert (found is Adoption.WATCH) == started
    if found is Adoption.HAND_BACK:
        assert state is StateType.PENDING
        assert its


def test_a_crash_says_why() -> None:
    assert crash_message(Ending(2)) == "Flow run infrastructure exited with non-zero status code 2."
    assert crash_message(Ending(-9, "It was killed.")).endswith("status code -9. It was killed.")
    assert "nothing tells how" in crash_message(Ending(None))
