"""Event triggers: how an event, or the passing of time, changes what a trigger has counted for one key.

Windows tumble. A reactive firing ends its count, and the window that follows begins where the old one would have ended;
a window that an ``after`` event opened serves one firing. All times here are the events' own.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sempre.core.triggers.model import Bucket, Event, EventKey, EventTrigger

__all__ = ["EARLY", "Step", "Verdict", "expire", "is_satisfied", "observe"]

# How far before its first event a window begins, so that events which arrive in the wrong order count together.
EARLY = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The trigger fires, because of this event (``None``: nothing ever came)."""

    event: EventKey | None


@dataclass(frozen=True, slots=True)
class Step:
    """The bucket as it is now (``None``: there is none any more) and what was decided on the way."""

    bucket: Bucket | None
    verdicts: tuple[Verdict, ...] = ()


def observe(trigger: EventTrigger, bucket: Bucket | None, event: Event) -> Step:
    """One event that concerns the trigger."""
    expected = trigger.expects(event.name)
    bucket = _opened(trigger, bucket, event, expected)
    if bucket is None or not expected:
        return Step(bucket)
    return _evaluated(trigger, bucket, event.occurred, event)


def expire(trigger: EventTrigger, bucket: Bucket, as_of: datetime) -> Step:
    """Time has come to ``as_of`` on a bucket of a proactive trigger."""
    return _evaluated(trigger, bucket, as_of, None)


def is_satisfied(trigger: EventTrigger, bucket: Bucket) -> bool:
    """Whether what a proactive trigger waits for has come, so that this bucket will never fire."""
    return trigger.proactive and bucket.count >= trigger.threshold


def _opened(trigger: EventTrigger, bucket: Bucket | None, event: Event, expected: bool) -> Bucket | None:
    if trigger.after:
        if not trigger.opens_on(event.name):
            return bucket
        start, count = event.occurred, -1 if expected else 0
    else:
        if not expected:
            return bucket
        start, count = event.occurred - EARLY, 0
    if bucket is not None:
        return replace(bucket, last_event=event.key)
    return Bucket(start, event.occurred + trigger.within, count, event.key)


def _evaluated(trigger: EventTrigger, bucket: Bucket, now: datetime, event: Event | None) -> Step:
    if now < bucket.start:
        return Step(bucket)
    endless = not trigger.proactive and not trigger.within
    pending = event is not None and not endless and now >= bucket.end
    if event is not None and not pending:
        bucket = replace(bucket, count=bucket.count + 1, last_event=event.key)
    if _fires(trigger, bucket, now):
        verdict = Verdict(event.key if event is not None else bucket.last_event)
        return _after_window(trigger, bucket, now, event if pending else None, fired=(verdict,))
    if now < bucket.end:
        if event is not None and is_satisfied(trigger, bucket) and trigger.opens_on(event.name):
            bucket = Bucket(event.occurred, event.occurred + trigger.within, 0, event.key)  # it begins to wait anew
        return Step(bucket)
    return _after_window(trigger, bucket, now, event if pending else None, fired=())


def _fires(trigger: EventTrigger, bucket: Bucket, now: datetime) -> bool:
    if trigger.proactive:
        return bucket.end <= now and bucket.count < trigger.threshold
    return bucket.count >= trigger.threshold


def _after_window(
    trigger: EventTrigger, bucket: Bucket, now: datetime, pending: Event | None, *, fired: tuple[Verdict, ...]
) -> Step:
    """The window is over, or has served its firing. ``pending`` is an event that came too late for it."""
    if trigger.after:
        return Step(None, fired)
    if not trigger.within:
        return Step(None if fired else bucket, fired)
    start = max(bucket.end, now)
    following = Bucket(start, start + trigger.within)
    if pending is None:
        return Step(following, fired)
    if trigger.proactive:
        return Step(replace(following, count=1), fired)
    step = _evaluated(trigger, following, now, pending)
    return Step(step.bucket, fired + step.verdicts)
