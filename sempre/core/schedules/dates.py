"""The dates of a schedule."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from uuid import UUID

from sempre.core.schedules.cron import cron_walls
from sempre.core.schedules.model import CronSchedule, IntervalSchedule, Schedule, zone_of
from sempre.core.schedules.rules import rrule_walls
from sempre.core.schedules.zones import earliest_wall_clock, localize, with_offset

__all__ = ["MAX_OCCURRENCES", "idempotency_key", "occurrences", "planned"]

MAX_OCCURRENCES = 1000  # most dates one call answers
_FIRST = datetime(2, 1, 1, tzinfo=UTC)  # far enough from the first day of the calendar for every offset


def occurrences(
    schedule: Schedule, start: datetime, end: datetime | None = None, n: int | None = None
) -> list[datetime]:
    """At most ``n`` dates from ``start`` to ``end`` (aware, both inclusive), ascending and distinct.

    Without ``n``: one date, or ``MAX_OCCURRENCES`` if ``end`` is given; never more than that. Each date is in the
    schedule's local time, carrying a fixed offset.
    """
    if n is None:
        n = 1 if end is None else MAX_OCCURRENCES
    return list(islice(_dates(schedule, start, end), max(0, min(n, MAX_OCCURRENCES))))


def planned(
    schedule: Schedule,
    now: datetime,
    min_runs: int,
    max_runs: int,
    min_time: timedelta,
    max_time: timedelta,
) -> list[datetime]:
    """The dates to have runs for at ``now``: until there are ``max_runs``, or ``now + max_time`` is reached, or there
    are ``min_runs`` of them and they reach ``now + min_time``.
    """
    enough_after = _later(now, min_time)
    dates: list[datetime] = []
    for date in islice(_dates(schedule, now, _later(now, max_time)), max(0, max_runs)):
        dates.append(date)
        if len(dates) >= min_runs and date >= enough_after:
            break
    return dates


def idempotency_key(deployment_id: UUID | str, schedule_id: UUID | str, date: datetime) -> str:
    """The key that makes one run per deployment, schedule and date.

    The date is printed as given, so it must come from :func:`occurrences` or :func:`planned`: local time with offset.
    The format is frozen; another one would duplicate every planned run at an upgrade.
    """
    return f"scheduled {deployment_id} {schedule_id} {date.isoformat(sep=' ')}"


def _dates(schedule: Schedule, start: datetime, end: datetime | None) -> Iterator[datetime]:
    zone = zone_of(schedule)
    try:
        start = max(start.astimezone(UTC), _FIRST)
        for instant in _instants(schedule, start, zone):
            if end is not None and instant > end:
                return
            if instant >= start:
                yield with_offset(instant, zone)
    except OverflowError:  # the calendar ends
        return


def _instants(schedule: Schedule, start: datetime, zone: tzinfo) -> Iterator[datetime]:
    """UTC instants, ascending and distinct; a few may precede ``start``."""
    if isinstance(schedule, IntervalSchedule):
        return _interval_instants(schedule, start, zone)
    first = earliest_wall_clock(start, zone)
    if isinstance(schedule, CronSchedule):
        return localize(cron_walls(schedule.cron, first, schedule.day_or), zone)
    return localize(rrule_walls(schedule.rrule, first), zone)


def _interval_instants(schedule: IntervalSchedule, start: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Jump near ``start`` in absolute time, then step: whole days by the calendar of the zone, the rest absolute.

    So a daily schedule keeps its local hour from the first date on, while the jump may have moved it by the
    difference between winter and summer time.
    """
    anchor = schedule.anchor_date.astimezone(UTC)
    steps = abs(start - anchor) // schedule.interval * (1 if start >= anchor else -1)
    days, rest = timedelta(days=schedule.interval.days), schedule.interval - timedelta(days=schedule.interval.days)
    try:
        instant = anchor + steps * schedule.interval
        while True:
            yield instant
            instant += rest
            if days:
                local = instant.astimezone(zone).replace(tzinfo=None, fold=0) + days
                instant = local.replace(tzinfo=zone).astimezone(UTC)
    except OverflowError:  # the calendar ends
        return


def _later(moment: datetime, delta: timedelta) -> datetime:
    try:
        return moment.astimezone(UTC) + delta
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
