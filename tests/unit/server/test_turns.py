"""How long processes wait for turns, and failing services for their next round."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sempre.server.coordination.docket import docket_name
from sempre.server.coordination.turns import LONGEST_PATIENCE, patience, pause

seconds = st.floats(-1e6, 1e6, allow_nan=False)
positive = st.floats(0, 1e6, allow_nan=False)


@given(st.lists(seconds), st.floats(0.05, 100))
def test_a_pause_ends_with_the_first_turn_that_falls_due(waits: list[float], longest: float) -> None:
    found = pause(waits, longest)
    assert 0 < found <= longest
    assert all(found <= max(wait, 0.01) for wait in waits)
    if waits and 0.01 < min(waits) < longest:
        assert found == min(waits)


@given(st.integers(0, 5000), positive)
def test_patience_grows_from_the_second_failure_to_a_limit(failures: int, interval: float) -> None:
    found = patience(failures, interval)
    assert 0 <= found <= LONGEST_PATIENCE
    assert found <= patience(failures + 1, interval)
    assert found == 0 or failures > 1


@given(st.sets(st.text("abc_", min_size=1), min_size=1), st.sets(st.text("abc_", min_size=1), min_size=1))
def test_processes_share_a_docket_if_they_run_the_same_services(some: set[str], others: set[str]) -> None:
    assert (docket_name("sempre", some) == docket_name("sempre", others)) == (some == others)
    assert docket_name("sempre", some) == docket_name("sempre", sorted(some, reverse=True))
    assert docket_name("sempre", some) != docket_name("other", some)
