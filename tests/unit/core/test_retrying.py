"""Retry decisions: which answers, how long, and when to give up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sempre.core.retrying import RetryRules, pause_before_retry, retry_after

NOW = datetime(2026, 11, 28, tzinfo=UTC)
RULES = RetryRules(patience=60.0)


def pause(rules: RetryRules = RULES, **changes: Any) -> float | None:
    usual: dict[str, Any] = {"status": None, "headers": {}, "attempt": 0, "elapsed": 0.0, "draw": 0.5, "now": NOW}
    return pause_before_retry(rules, **{**usual, **changes})


@pytest.mark.parametrize("status", [None, 408, 429, 502, 503, 504])
def test_what_is_repeated(status: int | None) -> None:
    assert pause(status=status) == pytest.approx(0.25)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 423, 500, 501])
def test_what_is_not(status: int) -> None:
    assert pause(status=status) is None
    assert pause(RetryRules(patience=60.0, extra_codes=frozenset({status})), status=status) is not None


def test_pauses_grow_to_a_bound_and_end_with_patience() -> None:
    pauses = [pause(attempt=attempt, draw=0.5) for attempt in range(8)]
    assert pauses == pytest.approx([0.25, 0.5, 1, 2, 4, 8, 8, 8])
    assert pause(attempt=9, elapsed=59.0) == pytest.approx(1.0)
    assert pause(elapsed=60.0) is None
    assert pause(RetryRules(patience=0.0)) is None


def test_the_server_says_when() -> None:
    assert pause(status=503, headers={"retry-after": "5"}, draw=0.0) == 5
    assert pause(status=503, headers={"retry-after": "5"}, draw=1.0) == pytest.approx(6)
    assert pause(status=503, headers={"retry-after": "0"}) == 0
    assert pause(status=503, headers={"retry-after": "600"}, elapsed=10.0) == 50


def test_maintenance_is_waited_for_without_limit_unless_told_otherwise() -> None:
    headers = {"prefect-maintenance": "true", "retry-after": "2"}
    assert pause(status=503, headers=headers, elapsed=1e6, draw=0.0) == 2
    assert pause(RetryRules(patience=10.0, heed_maintenance=False), status=503, headers=headers, elapsed=11.0) is None


def test_dates_and_nonsense() -> None:
    assert retry_after(format_datetime(NOW + timedelta(seconds=90)), NOW) == 90
    assert retry_after(format_datetime(NOW - timedelta(seconds=90)), NOW) == 0
    for nonsense in (None, "soon", "nan", "inf", ""):
        assert retry_after(nonsense, NOW) is None
    assert retry_after("-3", NOW) == 0


@given(
    patience=st.floats(0, 1000),
    attempt=st.integers(0, 10_000),
    elapsed=st.floats(0, 2000),
    draw=st.floats(0, 1, exclude_max=True),
    after=st.one_of(st.none(), st.floats(0, 1e6)),
)
def test_nobody_waits_past_patience(
    patience: float, attempt: int, elapsed: float, draw: float, after: float | None
) -> None:
    headers = {} if after is None else {"retry-after": str(after)}
    found = pause(
        RetryRules(patience=patience), status=503, headers=headers, attempt=attempt, elapsed=elapsed, draw=draw
    )
    if elapsed >= patience:
        assert found is None
    else:
        assert found is not None
        assert 0 <= found <= patience - elapsed
