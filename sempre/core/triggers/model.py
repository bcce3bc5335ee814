"""What triggers are made of: the events they look at, what they have counted, and what they say when they fire.

Times are UTC. An automation has one trigger; a composite one has others below it, down to event and metric triggers,
which alone look at events.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import ClassVar, NamedTuple
from uuid import UUID

from sempre.core.event_patterns import LabelSpec, label_value, matches_any_event, matches_labels, matches_related
from sempre.core.triggers.metrics import MetricQuery

__all__ = [
    "Automation",
    "Bucket",
    "CompositeTrigger",
    "Event",
    "EventKey",
    "EventTrigger",
    "Firing",
    "Key",
    "LeafTrigger",
    "MetricTrigger",
    "Trigger",
    "children_of",
]

_DEFAULT = UUID(int=0)

# The values of the labels a trigger counts apart by; empty for a trigger that counts everything together.
Key = tuple[str, ...]


class EventKey(NamedTuple):
    """Where an event stands in the log."""

    number: int
    occurred: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the log, as far as triggers look at it."""

    number: int
    id: UUID
    name: str
    occurred: datetime
    received: datetime
    resource: Mapping[str, str]
    related: Sequence[Mapping[str, str]] = ()
    follows: UUID | None = None
    workspace_id: UUID = _DEFAULT

    @property
    def key(self) -> EventKey:
        return EventKey(self.number, self.occurred)


@dataclass(frozen=True)
class EventTrigger:
    """Reactive: fires when ``threshold`` expected events came within ``within``; proactive: when fewer did.

    ``after`` names the events that open the window (none: any expected one does), ``expect`` those that count (none:
    every event), ``for_each`` the labels by whose values events are counted apart, in order.
    """

    id: UUID
    proactive: bool = False
    match: LabelSpec = field(default_factory=dict)
    match_related: tuple[LabelSpec, ...] = ()
    after: frozenset[str] = frozenset()
    expect: frozenset[str] = frozenset()
    for_each: tuple[str, ...] = ()
    threshold: int = 1
    within: timedelta = timedelta(0)

    @property
    def rhythm(self) -> timedelta:
        """For how long a proactive trigger may be left alone."""
        return self.within

    def opens_on(self, name: str) -> bool:
        """Whether an event of this name is one that the trigger waits for before it counts."""
        return matches_any_event(self.after, name)

    def expects(self, name: str) -> bool:
        return not self.expect or matches_any_event(self.expect, name)

    def concerns(self, event: Event) -> bool:
        """Whether the event is one to look at: by its name and by its resources."""
        return (
            (self.expects(event.name) or self.opens_on(event.name))
            and matches_labels(self.match, event.resource)
            and matches_related(self.match_related, event.related)
        )

    def key_of(self, event: Event) -> Key:
        return tuple(label_value(reference, event.resource, event.related) for reference in self.for_each)


@dataclass(frozen=True)
class MetricTrigger:
    """Fires while what the flow runs that match are like stands on one side of a threshold for long enough."""

    id: UUID
    query: MetricQuery
    match: LabelSpec = field(default_factory=dict)
    match_related: tuple[LabelSpec, ...] = ()
    after: ClassVar[frozenset[str]] = frozenset()
    expect: ClassVar[frozenset[str]] = frozenset({"prefect.flow-run.*"})

    @property
    def rhythm(self) -> timedelta:
        """From one value to the next."""
        return self.query.slot

    def concerns(self, event: Event) -> bool:
        return (
            matches_any_event(self.expect, event.name)
            and matches_labels(self.match, event.resource)
            and matches_related(self.match_related, event.related)
        )


LeafTrigger = EventTrigger | MetricTrigger


@dataclass(frozen=True, slots=True)
class CompositeTrigger:
    """Fires when ``needed`` of its children have, within ``within`` of each other; ``ordered``: all, in their order."""

    id: UUID
    children: tuple["Trigger", ...]
    needed: int
    ordered: bool = False
    within: timedelta | None = None


Trigger = LeafTrigger | CompositeTrigger


def children_of(trigger: Trigger) -> tuple[Trigger, ...]:
    return trigger.children if isinstance(trigger, CompositeTrigger) else ()


@dataclass(frozen=True)
class Automation:
    """An automation that is enabled."""

    id: UUID
    workspace_id: UUID
    trigger: Trigger

    @cached_property
    def leaves(self) -> tuple[LeafTrigger, ...]:
        """The triggers that look at events, in the order in which they are declared."""
        return tuple(trigger for trigger in _all_below(self.trigger) if not isinstance(trigger, CompositeTrigger))

    @cached_property
    def event_triggers(self) -> tuple[EventTrigger, ...]:
        return tuple(trigger for trigger in self.leaves if isinstance(trigger, EventTrigger))

    @cached_property
    def parents(self) -> Mapping[UUID, CompositeTrigger]:
        """The parent of each trigger that has one."""
        return {
            child.id: parent
            for parent in _all_below(self.trigger)
            if isinstance(parent, CompositeTrigger)
            for child in parent.children
        }


def _all_below(trigger: Trigger) -> Iterator[Trigger]:
    yield trigger
    for child in children_of(trigger):
        yield from _all_below(child)


@dataclass(frozen=True, slots=True)
class Bucket:
    """What an event trigger has counted for one key in the window [start, end).

    ``count`` is -1 where the event that opened the window is itself an expected one and is not to count.
    """

    start: datetime
    end: datetime
    count: int = 0
    last_event: EventKey | None = None


@dataclass(frozen=True, slots=True)
class Firing:
    """A trigger has fired. ``triggered`` orders the firings of one evaluation strictly."""

    id: UUID
    trigger_id: UUID
    triggered: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    event: EventKey | None = None
    firings: tuple["Firing", ...] = ()  # of the children that made a composite trigger fire
    value: float | None = None  # of the metric
    resolved: bool = False  # it is the end of a firing instead
