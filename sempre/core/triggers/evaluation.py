"""Evaluating triggers over a stretch of the event log.

An evaluation holds what has been counted, as far as it was loaded, and what becomes of it. It knows what to write
afterwards: the buckets and firings of children that differ, and what the automations owe.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sempre.core.triggers.buckets import Step, expire, is_satisfied, observe
from sempre.core.triggers.composites import advance
from sempre.core.triggers.metrics import Turn
from sempre.core.triggers.model import (
    Automation,
    Bucket,
    Event,
    EventKey,
    EventTrigger,
    Firing,
    Key,
    MetricTrigger,
)

__all__ = ["BucketKey", "ChildKey", "Evaluation", "Reaction"]

_INSTANT = timedelta(microseconds=1)


class BucketKey(NamedTuple):
    trigger_id: UUID
    key: Key


class ChildKey(NamedTuple):
    parent_id: UUID
    child_id: UUID


@dataclass(frozen=True, slots=True)
class Reaction:
    """An automation has fired, or its firing has ended, and owes its actions."""

    automation: Automation
    firing: Firing


@dataclass
class Evaluation:
    """``buckets`` and ``children`` are what is stored; ``last_firing`` is the time of the latest firing so far.

    Firings get strictly rising times, even those that fall together, so that their order is never in doubt.
    """

    new_id: Callable[[], UUID]
    buckets: Mapping[BucketKey, Bucket] = field(default_factory=dict)
    children: Mapping[ChildKey, Firing] = field(default_factory=dict)
    last_firing: datetime | None = None
    reactions: list[Reaction] = field(default_factory=list)
    _buckets: dict[BucketKey, tuple[Automation, Bucket | None]] = field(default_factory=dict)
    _children: dict[ChildKey, tuple[Automation, Firing | None]] = field(default_factory=dict)

    def observe(self, automation: Automation, trigger: EventTrigger, event: Event, at: datetime) -> None:
        """An event that concerns the trigger; ``at`` is when it is looked at."""
        key = trigger.key_of(event)
        self._take(automation, trigger, key, observe(trigger, self._bucket(trigger, key), event), at)

    def watch(self, automation: Automation, trigger: EventTrigger, as_of: datetime, at: datetime) -> None:
        """See to a proactive trigger of which what is due has been loaded: what will never fire goes, what is over
        is decided."""
        if not trigger.for_each:
            self._ensure(automation, trigger, as_of)
        for key, bucket in sorted(self._held(trigger), key=lambda held: (held[1].start, held[0])):
            step = Step(None) if is_satisfied(trigger, bucket) else expire(trigger, bucket, as_of)
            self._take(automation, trigger, key, step, at)
        if not trigger.for_each and not trigger.after:
            self._ensure(automation, trigger, as_of)

    def turn(self, automation: Automation, trigger: MetricTrigger, turn: Turn, at: datetime) -> None:
        """A metric trigger has begun to fire, or ceased to: of that only the automation's own trigger tells."""
        if turn.firing:
            self._fire(automation, trigger.id, at, event=None, value=turn.value)
        elif automation.trigger is trigger:
            firing = Firing(self.new_id(), trigger.id, self._next(at), value=turn.value, resolved=True)
            self.reactions.append(Reaction(automation, firing))

    def changed_buckets(self) -> Iterator[tuple[Automation, BucketKey, Bucket | None]]:
        """What to write: a bucket as it is now, or ``None`` where one is to be deleted."""
        for key, (automation, bucket) in self._buckets.items():
            if bucket != self.buckets.get(key):
                yield automation, key, bucket

    def changed_children(self) -> Iterator[tuple[Automation, ChildKey, Firing | None]]:
        """What to write: the newest firing of a child, or ``None`` where it is to be forgotten."""
        for key, (automation, firing) in self._children.items():
            if firing != self.children.get(key):
                yield automation, key, firing

    def _bucket(self, trigger: EventTrigger, key: Key) -> Bucket | None:
        place = BucketKey(trigger.id, key)
        return self._buckets[place][1] if place in self._buckets else self.buckets.get(place)

    def _held(self, trigger: EventTrigger) -> Iterator[tuple[Key, Bucket]]:
        for place in dict.fromkeys((*self.buckets, *self._buckets)):
            if place.trigger_id == trigger.id and (bucket := self._bucket(trigger, place.key)) is not None:
                yield place.key, bucket

    def _ensure(self, automation: Automation, trigger: EventTrigger, as_of: datetime) -> None:
        """A trigger that counts everything together always watches."""
        if self._bucket(trigger, ()) is None:
            self._buckets[BucketKey(trigger.id, ())] = (automation, Bucket(as_of, as_of + trigger.within))

    def _take(self, automation: Automation, trigger: EventTrigger, key: Key, step: Step, at: datetime) -> None:
        self._buckets[BucketKey(trigger.id, key)] = (automation, step.bucket)
        for verdict in step.verdicts:
            labels = dict(zip(trigger.for_each, key, strict=True))
            self._fire(automation, trigger.id, at, labels=labels, event=verdict.event)

    def _fire(
        self,
        automation: Automation,
        trigger_id: UUID,
        at: datetime,
        *,
        event: EventKey | None,
        labels: Mapping[str, str] | None = None,
        firings: tuple[Firing, ...] = (),
        value: float | None = None,
    ) -> None:
        firing = Firing(self.new_id(), trigger_id, self._next(at), labels or {}, event, firings, value)
        parent = automation.parents.get(trigger_id)
        if parent is None:
            self.reactions.append(Reaction(automation, firing))
            return
        kept = {
            child.id: held
            for child in parent.children
            if (held := self._child(ChildKey(parent.id, child.id))) is not None
        }
        result = advance(parent, kept, firing)
        for child in parent.children:
            self._children[ChildKey(parent.id, child.id)] = (automation, result.kept.get(child.id))
        if result.fired_by is not None:
            self._fire(automation, parent.id, at, event=event, firings=result.fired_by)

    def _next(self, at: datetime) -> datetime:
        self.last_firing = at if self.last_firing is None else max(at, self.last_firing + _INSTANT)
        return self.last_firing

    def _child(self, key: ChildKey) -> Firing | None:
        return self._children[key][1] if key in self._children else self.children.get(key)
