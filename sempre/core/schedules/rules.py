"""RFC 5545 recurrence rules, read as wall-clock time."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from dateutil import rrule as engine

from sempre.core.schedules.zones import load_zone

__all__ = ["MAX_RRULE_LENGTH", "normalize_rrule", "rrule_walls", "validate_rrule"]

MAX_RRULE_LENGTH = 6500  # characters
MAX_SKIPPED = 200_000  # dates before the window that are passed over
MAX_DAYS = 200_000  # days looked at for one reading, some five hundred years; where days are divided, their parts count

_EPOCH = datetime(2020, 1, 1)  # noqa: DTZ001 - wall clock
_ZONED = re.compile(r";TZID=[^:;]+", re.IGNORECASE)
_STEPS = {
    engine.SECONDLY: timedelta(seconds=1),
    engine.MINUTELY: timedelta(minutes=1),
    engine.HOURLY: timedelta(hours=1),
    engine.DAILY: timedelta(days=1),
    engine.WEEKLY: timedelta(weeks=1),
}
_FILTERS = ("bysetpos", "byweekday", "bymonth", "bymonthday", "byyearday", "byweekno", "byhour", "byminute", "bysecond",
            "byeaster")  # fmt: skip
_DAYS = {engine.YEARLY: 366, engine.MONTHLY: 31, engine.WEEKLY: 7}  # of one step, rounded up


class _Endless(Exception):
    """The engine searched for longer than a rule may take."""


class _Meter:
    """The days that the rules of one reading may look at together."""

    def __init__(self) -> None:
        self.left = MAX_DAYS

    def attach(self, rule: Any) -> Any:
        rule._interval = _Interval(rule._interval)
        rule._interval.meter = self
        rule._interval.days = _DAYS.get(rule._freq, 1)
        return rule

    def spend(self, days: int) -> None:
        self.left -= days
        if self.left < 0:
            raise _Endless


class _Interval(int):
    """An interval that notices when it is added.

    The engine does so once for every step, and nowhere else could its search be interrupted: a rule without dates
    makes it look until the year 9999, and a rule that takes away what another yields, without end.
    """

    meter: _Meter
    days: int

    def __radd__(self, other: int) -> int:
        self.meter.spend(self.days)
        return other + int(self)

    def __add__(self, other: int) -> int:
        self.meter.spend(self.days)
        return int(self) + other

    def __mul__(self, other: int) -> int:
        self.meter.spend(self.days)
        return int(self) * other


class _Parts(NamedTuple):
    """A parsed text: what it adds and what it takes away."""

    rules: list[Any]
    dates: list[datetime]
    excluded_rules: list[Any]
    excluded_dates: list[datetime]


def validate_rrule(text: str) -> None:
    """Raise ``ValueError`` unless the text is a rule, or a set of rules and dates, that can be followed."""
    if len(text) > MAX_RRULE_LENGTH:
        raise ValueError(f'Invalid RRule string "{text[:40]}...": longer than {MAX_RRULE_LENGTH} characters')
    try:
        parts = _parse(text)
        for rule in parts.rules + parts.excluded_rules:
            if rule._interval < 1:
                raise ValueError("INTERVAL must be positive")
        _check_that_it_happens(parts)
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError) as error:
        raise ValueError(f'Invalid RRule string "{text}": {error}') from error


def normalize_rrule(text: str, timezone: str | None, now: datetime) -> str:
    """Pin a rule without ``DTSTART`` to a fixed start, in the wall clock of its zone (``None``: UTC).

    Done once, on write: a start that moves with the time of reading would shift the phase of the rule. Rules of
    seconds and minutes without COUNT get a recent start on the grid that began with 2020, so that reading them does
    not walk through years of candidates. ``now`` is aware. Raises ``ValueError`` for a text that is no rule.
    """
    if "DTSTART" in text.upper():
        return text
    validate_rrule(text)
    parts = _parse(text)
    start = _EPOCH
    if len(parts.rules) == 1 and not (parts.dates or parts.excluded_rules or parts.excluded_dates):
        rule = parts.rules[0]
        if rule._freq in (engine.SECONDLY, engine.MINUTELY) and rule._count is None:
            local = now.astimezone(load_zone(timezone or "UTC")).replace(tzinfo=None)
            step = rule._interval * _STEPS[rule._freq]
            start = _EPOCH + (local - _EPOCH) // step * step
    return f"DTSTART:{start:%Y%m%dT%H%M%S}\n{text}"


def rrule_walls(text: str, start: datetime) -> Iterator[datetime]:
    """Naive local times of the rule from ``start`` (naive, inclusive) on, ascending and distinct.

    COUNT counts from DTSTART. A rule that buries its dates under more than ``MAX_SKIPPED`` earlier ones yields nothing,
    and one that has none for ``MAX_DAYS`` yields no more.
    """
    skipped = 0
    try:
        for wall in _merged(_parse(text), start):
            if wall >= start:
                yield wall
            else:
                skipped += 1
                if skipped > MAX_SKIPPED:
                    return
    except _Endless:
        return


def _merged(parts: _Parts, start: datetime | None) -> Any:
    """The dates of all parts together, ascending. Reading them raises _Endless where that takes too long."""
    meter = _Meter()
    merged = engine.rruleset()

    def begun(rule: Any) -> Any:
        return meter.attach(rule if start is None else _skip_past(rule, start))

    for rule in parts.rules:
        merged.rrule(begun(rule))
    for date in parts.dates:
        merged.rdate(date)
    for rule in parts.excluded_rules:
        merged.exrule(begun(rule))
    for date in parts.excluded_dates:
        merged.exdate(date)
    return merged


def _check_that_it_happens(parts: _Parts) -> None:
    """A rule may be over, but it must not let its reader search for a date in vain."""
    try:
        next(iter(_merged(parts, None)), None)
        for rule in parts.rules:
            next(iter(_merged(_Parts([rule], [], [], []), None)), None)
    except _Endless:
        raise ValueError("it never happens") from None


def _parse(text: str) -> _Parts:
    # Whatever zone a date names, its digits are wall-clock time of the schedule's zone.
    stripped = "\n".join(_ZONED.sub("", line, count=1) for line in text.splitlines())
    parsed: Any = engine.rrulestr(stripped, dtstart=_EPOCH, ignoretz=True, forceset=True)
    return _Parts(
        list(parsed._rrule),
        [date.replace(tzinfo=None) for date in parsed._rdate],
        list(parsed._exrule),
        [date.replace(tzinfo=None) for date in parsed._exdate],
    )


def _skip_past(rule: Any, start: datetime) -> Any:
    """The same rule begun later, where that changes nothing from ``start`` on.

    A fixed step may be taken any number of times at once. With COUNT this holds only if each step yields exactly one
    date, that is without BY parts.
    """
    step = _STEPS.get(rule._freq)
    if step is None or rule._dtstart >= start:
        return rule
    step *= rule._interval
    # One step early: the first period of a rule is cut off at DTSTART.
    steps = (start - rule._dtstart) // step - 1
    if steps <= 0:
        return rule
    later = rule._dtstart + steps * step
    if rule._count is None:
        return rule.replace(dtstart=later)
    if any(rule._original_rule.get(name) for name in _FILTERS):
        return rule
    if rule._count > steps:
        return rule.replace(dtstart=later, count=rule._count - steps)
    return rule.replace(dtstart=later, count=0)
