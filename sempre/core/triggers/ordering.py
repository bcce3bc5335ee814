"""Looking at events in causal order: an event that follows another is looked at after it.

The log is in order of arrival, and a follower may arrive before its leader. It waits for it, for a while.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sempre.core.triggers.model import Event

__all__ = ["LONGEST_WAIT", "Order", "in_causal_order"]

# How long after its arrival an event waits for the one it follows.
LONGEST_WAIT = timedelta(minutes=15)
# Followers of followers of ... that are looked at in one go; what is deeper comes as it is.
_DEEPEST = 20


@dataclass(slots=True)
class Order:
    """``ready`` is to be looked at now, in this order; ``waiting`` later. ``released``: the numbers of those that had
    been waiting and are now among the ready."""

    ready: list[Event] = field(default_factory=list)
    waiting: list[Event] = field(default_factory=list)
    released: list[int] = field(default_factory=list)


def in_causal_order(
    arrived: Sequence[Event], held: Iterable[Event], is_seen: Callable[[UUID], bool], now: datetime
) -> Order:
    """Order what ``arrived`` together with those followers (``held``) that wait for one of the arrived.

    ``is_seen`` tells of an id that is not among these whether that event has been looked at. A held event that has
    waited too long comes first, with the followers it has among the others.
    """
    order = Order()
    followers: dict[UUID, list[Event]] = {}
    waiting_before = {event.number for event in held}
    seen: set[UUID] = set()

    def place(event: Event, depth: int = 0) -> None:
        order.ready.append(event)
        seen.add(event.id)
        if event.number in waiting_before:
            order.released.append(event.number)
        if depth < _DEEPEST:
            for follower in sorted(followers.pop(event.id, ()), key=lambda one: (one.occurred, one.number)):
                place(follower, depth + 1)

    def wait_or_place(event: Event) -> None:
        leader = event.follows
        if leader is None or leader == event.id or _too_old(event, now):
            place(event)
        elif (leader in expected and leader not in seen) or not (leader in seen or is_seen(leader)):
            followers.setdefault(leader, []).append(event)
        else:
            place(event)

    # Those at hand are looked at in this call or wait; whatever the log says of them, they have not been seen.
    everything = [*sorted(held, key=lambda event: event.number), *arrived]
    expected = {event.id for event in everything}
    for event in everything:
        wait_or_place(event)
    # What was too deep for one go has its leader by now.
    while deeper := [leader for leader in followers if leader in seen]:
        for leader in deeper:
            for event in followers.pop(leader):
                place(event)
    order.waiting.extend(event for those in followers.values() for event in those if event.number not in waiting_before)
    return order


def _too_old(event: Event, now: datetime) -> bool:
    return event.received < now - LONGEST_WAIT
