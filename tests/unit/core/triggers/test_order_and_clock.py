"""The order in which events are looked at, and the clock that goes by them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from sempre.core.triggers.clock import EventsClock
from sempre.core.triggers.model import Event
from sempre.core.triggers.ordering import LONGEST_WAIT, Order, in_causal_order

_NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def _event(number: int, follows: int | None = None, *, age: float = 0, occurred: float = 0) -> Event:
    received = _NOW - timedelta(seconds=age)
    leader = None if follows is None else UUID(int=follows)
    at = received + timedelta(seconds=occurred)
    return Event(number, UUID(int=number), "x", at, received, {"prefect.resource.id": "r"}, (), leader)


def _order(arrived: Iterable[Event], held: Iterable[Event] = (), seen: Iterable[int] = ()) -> Order:
    known = {UUID(int=number) for number in seen}
    return in_causal_order(list(arrived), list(held), known.__contains__, _NOW)


def _numbers(events: Iterable[Event]) -> list[int]:
    return [event.number for event in events]


def test_a_follower_is_looked_at_after_its_leader() -> None:
    order = _order([_event(1, 3), _event(2), _event(3)])
    assert _numbers(order.ready) == [2, 3, 1]
    assert not order.waiting


def test_a_follower_waits_for_a_leader_that_is_not_there() -> None:
    order = _order([_event(1, 9), _event(2, 1)])
    assert not order.ready
    assert sorted(_numbers(order.waiting)) == [1, 2]
    assert _numbers(_order([_event(1, 9)], seen=[9]).ready) == [1]


def test_held_followers_are_released_in_the_order_in_which_they_happened() -> None:
    held = [_event(1, 9, occurred=3), _event(2, 9, occurred=1), _event(3, 1), _event(4, 8)]
    order = _order([_event(9)], held)
    assert _numbers(order.ready) == [9, 2, 1, 3]
    assert sorted(order.released) == [1, 2, 3]
    assert not order.waiting, "those held already are not to be written again"


def test_nobody_waits_longer_than_the_longest_wait() -> None:
    long = LONGEST_WAIT.total_seconds() + 1
    order = _order([], [_event(1, 9, age=long), _event(2, 1, age=1), _event(3, 9, age=1)])
    assert _numbers(order.ready) == [1, 2]
    assert sorted(order.released) == [1, 2]


def test_an_event_may_follow_itself() -> None:
    assert _numbers(_order([_event(1, 1)]).ready) == [1]


def test_two_that_follow_each_other_wait_and_come_when_their_time_is_over() -> None:
    assert _numbers(_order([_event(1, 2), _event(2, 1)]).waiting) == [1, 2]
    long = LONGEST_WAIT.total_seconds() + 1
    assert _numbers(_order([], [_event(1, 2, age=long), _event(2, 1, age=long)]).ready) == [1, 2]


def test_long_chains_come_whole() -> None:
    chain = [_event(number, number + 1 if number < 90 else None) for number in range(1, 91)]
    order = _order(chain)
    assert sorted(_numbers(order.ready)) == list(range(1, 91))
    at = {number: place for place, number in enumerate(_numbers(order.ready))}
    assert all(at[number] > at[number + 1] for number in range(1, 90))


_links = st.lists(st.one_of(st.none(), st.integers(1, 14)), min_size=1, max_size=12)


@settings(deadline=None)
@given(_links, st.sets(st.integers(1, 14)), st.integers(0, 12))
def test_nothing_is_lost_and_no_follower_precedes_its_leader(
    links: list[int | None], seen: set[int], held: int
) -> None:
    events = [_event(number, follows) for number, follows in enumerate(links, 1)]
    outside = {number for number in seen if number > len(events)}
    order = _order(events[held:], events[:held], outside)
    ready, kept = _numbers(order.ready), {event.number for event in events[:held]} - set(order.released)
    assert sorted([*ready, *_numbers(order.waiting), *kept]) == list(range(1, len(events) + 1))
    at = {number: place for place, number in enumerate(ready)}
    for number in ready:
        leader = links[number - 1]
        if leader in at and leader != number:
            assert at[leader] < at[number]
        elif leader is not None and leader != number:
            assert leader in outside
    assert set(order.released) == {number for number in ready if number <= held}


def test_the_clock_lags_as_the_newest_event_did() -> None:
    clock = EventsClock()
    assert clock.as_of(_NOW) == _NOW
    clock = clock.after(_NOW - timedelta(seconds=12), _NOW)
    later = _NOW + timedelta(seconds=30)
    assert clock.as_of(later) == later - timedelta(seconds=12)
    assert clock.after(_NOW - timedelta(seconds=40), later) == clock, "an older event says nothing new"
    caught_up = clock.after(later, later)
    assert caught_up.as_of(later) == later


def test_the_future_and_the_distant_past_do_not_move_the_clock_far() -> None:
    ahead = EventsClock().after(_NOW + timedelta(days=1), _NOW)
    assert ahead.as_of(_NOW) == _NOW
    behind = EventsClock().after(_NOW - timedelta(days=1), _NOW)
    assert behind.as_of(_NOW) == _NOW - timedelta(minutes=5)
