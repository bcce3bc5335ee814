"""Schedules as values, and their wire form."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from sempre.core.schedules.cron import validate_cron
from sempre.core.schedules.rules import validate_rrule
from sempre.core.schedules.zones import is_zone, load_zone, validate_timezone

__all__ = [
    "CronSchedule",
    "IntervalSchedule",
    "RRuleSchedule",
    "Schedule",
    "from_json",
    "parse_duration",
    "to_json",
    "validate_interval",
    "zone_of",
]


@dataclass(frozen=True, slots=True)
class IntervalSchedule:
    """Every ``interval`` counted from ``anchor_date`` (aware; a naive one is read as UTC) in both directions.

    Without a timezone the schedule takes the anchor's zone if that has an IANA name; a bare offset says nothing about
    daylight saving, so it means UTC.
    """

    interval: timedelta
    anchor_date: datetime
    timezone: str | None = None

    def __post_init__(self) -> None:
        validate_interval(self.interval)
        if self.anchor_date.tzinfo is None:
            object.__setattr__(self, "anchor_date", self.anchor_date.replace(tzinfo=UTC))
        if self.timezone is None:
            object.__setattr__(self, "timezone", _zone_name(self.anchor_date.tzinfo))
        elif self.timezone:
            validate_timezone(self.timezone)


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """A cron line of five fields, or six with the seconds last. ``day_or=False`` asks for day of month AND weekday."""

    cron: str
    timezone: str | None = None
    day_or: bool = True

    def __post_init__(self) -> None:
        validate_cron(self.cron)
        if self.timezone:
            validate_timezone(self.timezone)


@dataclass(frozen=True, slots=True)
class RRuleSchedule:
    """RFC 5545 text (a rule or a set), all of its times read as wall clock of ``timezone`` (``None``: UTC)."""

    rrule: str
    timezone: str | None = "UTC"

    def __post_init__(self) -> None:
        validate_rrule(self.rrule)
        if self.timezone:
            validate_timezone(self.timezone)


Schedule = IntervalSchedule | CronSchedule | RRuleSchedule


def validate_interval(interval: timedelta) -> None:
    """Raise ``ValueError`` unless the interval is longer than nothing."""
    if interval <= timedelta(0):
        raise ValueError("interval must be positive")


def _zone_name(zone: tzinfo | None) -> str:
    if isinstance(zone, ZoneInfo) and is_zone(zone.key):
        return zone.key
    return "UTC"


def zone_of(schedule: Schedule) -> tzinfo:
    """The zone in which the schedule's wall clock runs."""
    return load_zone(schedule.timezone or "UTC")


_CLOCK = re.compile(r"(?P<sign>-?)(?P<hours>\d+):(?P<minutes>[0-5]?\d)(?::(?P<seconds>[0-5]?\d(?:\.\d{1,6})?))?")
_ISO = re.compile(
    r"(?P<sign>[-+]?)P(?:(?P<weeks>\d+(?:\.\d+)?)W)?(?:(?P<days>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<hours>\d+(?:\.\d+)?)H)?(?:(?P<minutes>\d+(?:\.\d+)?)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?",
    re.IGNORECASE,
)


def parse_duration(value: Any) -> timedelta:
    """Read seconds (number or numeric text), an ISO-8601 duration without years and months, or ``HH:MM[:SS]``.

    Raises ``ValueError`` for anything else.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _seconds(float(value))
    if isinstance(value, str):
        text = value.strip()
        for pattern in (_CLOCK, _ISO):
            found = pattern.fullmatch(text)
            parts = {k: float(v) for k, v in found.groupdict().items() if v and k != "sign"} if found else {}
            if found and parts:
                return _sign(found["sign"]) * _bounded(partial(timedelta, **parts))
        try:
            return _seconds(float(text))
        except ValueError:
            pass
    raise ValueError(f"not a duration: {value!r}")


def _sign(text: str) -> int:
    return -1 if text == "-" else 1


def _seconds(value: float) -> timedelta:
    return _bounded(partial(timedelta, seconds=value))


def _bounded(make: Callable[[], timedelta]) -> timedelta:
    try:
        return make()
    except OverflowError as error:
        raise ValueError("the duration is too long") from error


_KEYS = {
    "interval": frozenset({"interval", "anchor_date", "timezone"}),
    "cron": frozenset({"cron", "timezone", "day_or"}),
    "rrule": frozenset({"rrule", "timezone"}),
}


def from_json(data: Mapping[str, Any], now: datetime | None = None) -> Schedule:
    """Read a schedule from its wire form; the key ``interval``, ``cron`` or ``rrule`` (in this order) says which.

    ``now`` is the anchor of an interval that names none. Raises ``ValueError`` for unknown keys and bad values.
    """
    kind = next((name for name in _KEYS if name in data), None)
    if kind is None:
        raise ValueError("a schedule needs one of the keys interval, cron, rrule")
    unknown = sorted(set(data) - _KEYS[kind])
    if unknown:
        raise ValueError(f"unknown keys in a schedule with {kind}: {', '.join(unknown)}")
    zone = data.get("timezone")
    if zone is not None and not isinstance(zone, str):
        raise ValueError("timezone must be a string or null")
    if kind == "interval":
        return IntervalSchedule(parse_duration(data["interval"]), _anchor(data.get("anchor_date"), now), zone)
    text = data[kind]
    if not isinstance(text, str):
        raise ValueError(f"{kind} must be a string")
    if kind == "rrule":
        return RRuleSchedule(text, zone if "timezone" in data else "UTC")
    day_or = data.get("day_or", True)
    if not isinstance(day_or, bool):
        raise ValueError("day_or must be a boolean")
    return CronSchedule(text, zone, day_or)


def _anchor(value: Any, now: datetime | None) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    if value is None and now is not None:
        return now
    raise ValueError("anchor_date must be a date and time")


def to_json(schedule: Schedule) -> dict[str, Any]:
    """The wire form; the interval as float seconds, the anchor as ISO-8601 text with its offset (``Z`` for UTC)."""
    if isinstance(schedule, IntervalSchedule):
        anchor = schedule.anchor_date
        if anchor.tzinfo is not UTC:
            anchor = anchor.astimezone(timezone(anchor.utcoffset() or timedelta(0)))
        return {
            "interval": schedule.interval.total_seconds(),
            "anchor_date": anchor.isoformat().replace("+00:00", "Z"),
            "timezone": schedule.timezone,
        }
    if isinstance(schedule, CronSchedule):
        return {"cron": schedule.cron, "timezone": schedule.timezone, "day_or": schedule.day_or}
    return {"rrule": schedule.rrule, "timezone": schedule.timezone}
