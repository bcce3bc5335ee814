"""The pulse learned from heartbeats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sempre.core.heartbeats import Pulse, pulse_after

_START = datetime(2026, 1, 1, tzinfo=UTC)
_ASSUMED = 180.0


def beats(*seconds: float) -> list[tuple[datetime, datetime]]:
    return [(_START + timedelta(seconds=at), _START + timedelta(seconds=at)) for at in seconds]


def pulse(*seconds: float) -> Pulse:
    found = pulse_after(None, beats(*seconds), _ASSUMED)
    assert found is not None
    return found


def test_no_heartbeat_no_pulse() -> None:
    assert pulse_after(None, [], _ASSUMED) is None


def test_one_heartbeat_tells_nothing_of_the_next() -> None:
    assert pulse(5).gap == _ASSUMED


def test_a_steady_pulse_is_learned() -> None:
    assert pulse(*range(0, 600, 30)).gap == 30
    assert pulse(0, 900).gap == 900


def test_a_pause_is_remembered_for_a_while() -> None:
    assert pulse(*range(0, 600, 30), 1000, 1030).gap > 300
    assert pulse(*range(0, 600, 30), 1000, *range(1030, 2000, 30)).gap == 30


def test_what_arrives_late_is_heard_and_changes_nothing_else() -> None:
    before = pulse(*range(0, 600, 30))
    late = (_START + timedelta(seconds=15), _START + timedelta(seconds=700))
    after = pulse_after(before, [late], _ASSUMED)
    assert after == Pulse(late[1], before.beat, before.gap)


@given(
    every=st.floats(30, 3600),
    offset=st.floats(0, 1),
    count=st.integers(2, 40),
    missed=st.integers(2, 5),
)
def test_two_senders_are_not_taken_for_a_hasty_one(every: float, offset: float, count: int, missed: int) -> None:
    """However their heartbeats fall together, none of two steady senders' pauses is ever ``missed`` gaps long."""
    times = sorted([n * every for n in range(count)] + [n * every + offset * every for n in range(count)])
    found = None
    for time, following in pairwise(times):
        found = pulse_after(found, beats(time), max(_ASSUMED, every))
        assert found is not None
        assert following - time < missed * found.gap


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), min_size=1, max_size=20))
def test_the_order_within_one_batch_does_not_matter(times: list[tuple[int, int]]) -> None:
    heartbeats = [(_START + timedelta(seconds=a), _START + timedelta(seconds=b)) for a, b in times]
    found = pulse_after(None, heartbeats, _ASSUMED)
    assert found == pulse_after(None, reversed(heartbeats), _ASSUMED)
    assert found is not None
    assert found.beat == max(sent for sent, _ in heartbeats)
    assert found.heard == max(came_in for _, came_in in heartbeats)
