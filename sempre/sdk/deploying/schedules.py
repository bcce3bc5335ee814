"""When a deployment runs by itself: `Interval`, `Cron` and `RRule`, and everything else that is taken for one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sempre.core.schedules import from_json, to_json
from sempre.sdk.errors import ConfigurationError

__all__ = ["Cron", "Interval", "RRule", "Schedule", "schedules_of"]

_KINDS = ("interval", "cron", "rrule")
_OPTIONS = ("active", "parameters", "slug", "replaces", "max_scheduled_runs")


@dataclass(frozen=True)
class Schedule:
    """One schedule: when (``interval``, ``cron`` or ``rrule``), and with which parameters beside the deployment's.

    ``slug`` names it among the deployment's schedules, ``replaces`` the slug that it had before. Raises ValueError
    for times that cannot be understood.
    """

    interval: timedelta | None = None
    cron: str | None = None
    rrule: str | None = None
    timezone: str | None = None
    anchor_date: datetime | None = None
    day_or: bool = True
    active: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)
    slug: str | None = None
    replaces: str | None = None
    max_scheduled_runs: int | None = None

    def __post_init__(self) -> None:
        if sum(each is not None for each in (self.interval, self.cron, self.rrule)) != 1:
            raise ValueError("a schedule has exactly one of interval, cron and rrule")
        self.when()

    def when(self, now: datetime | None = None) -> dict[str, Any]:
        """The times as the API has them. An interval without an anchor counts from ``now``."""
        return to_json(from_json(self._given(), now or datetime.now(UTC)))

    def to_json(self, now: datetime | None = None) -> dict[str, Any]:
        """The schedule of a deployment as the API has it."""
        told: dict[str, Any] = {"schedule": self.when(now), "active": self.active, "parameters": dict(self.parameters)}
        optional = {name: getattr(self, name) for name in ("slug", "replaces", "max_scheduled_runs")}
        return told | {name: value for name, value in optional.items() if value is not None}

    def _given(self) -> dict[str, Any]:
        if self.interval is not None:
            anchor = {} if self.anchor_date is None else {"anchor_date": self.anchor_date}
            return {"interval": self.interval, "timezone": self.timezone, **anchor}
        if self.cron is not None:
            return {"cron": self.cron, "timezone": self.timezone, "day_or": self.day_or}
        return {"rrule": self.rrule, "timezone": self.timezone or "UTC"}


def Interval(
    interval: timedelta | float | int,
    /,
    anchor_date: datetime | None = None,
    timezone: str | None = None,
    active: bool = True,
    parameters: Mapping[str, Any] | None = None,
    slug: str | None = None,
) -> Schedule:
    """Every so many seconds, counted from ``anchor_date`` (default: when the deployment is made) in both directions."""
    return Schedule(
        interval=_span(interval), anchor_date=anchor_date, timezone=timezone, active=active,
        parameters=parameters or {}, slug=slug,
    )  # fmt: skip


def Cron(
    cron: str,
    /,
    timezone: str | None = None,
    day_or: bool = True,
    active: bool = True,
    parameters: Mapping[str, Any] | None = None,
    slug: str | None = None,
) -> Schedule:
    """A cron line, on the clock of ``timezone`` (UTC). ``day_or``: day of month or day of week is enough."""
    return Schedule(cron=cron, timezone=timezone, day_or=day_or, active=active, parameters=parameters or {}, slug=slug)


def RRule(
    rrule: str,
    /,
    timezone: str | None = None,
    active: bool = True,
    parameters: Mapping[str, Any] | None = None,
    slug: str | None = None,
) -> Schedule:
    """A recurrence rule of RFC 5545, or a set of them, on the clock of ``timezone`` (UTC)."""
    return Schedule(rrule=rrule, timezone=timezone, active=active, parameters=parameters or {}, slug=slug)


def schedules_of(
    interval: Any = None,
    cron: Any = None,
    rrule: Any = None,
    schedule: Any = None,
    schedules: Iterable[Any] | None = None,
) -> list[Schedule]:
    """The schedules that a caller means; each of the first three may be one or several.

    Raises ConfigurationError if more than one argument says when.
    """
    if sum(each is not None for each in (interval, cron, rrule, schedule, schedules)) > 1:
        raise ConfigurationError("Only one of interval, cron, rrule, schedule and schedules can say when to run.")
    if interval is not None:
        return [_interval(each) for each in _several(interval)]
    if cron is not None:
        return [_from(each, "cron") for each in _several(cron)]
    if rrule is not None:
        return [_from(each, "rrule") for each in _several(rrule)]
    given = [schedule] if schedule is not None else list(schedules or ())
    return [schedule_of(each) for each in given]


def schedule_of(given: Any) -> Schedule:
    """A schedule from a mapping (as in files, or as the API has it) or a model. Raises ConfigurationError."""
    if isinstance(given, Schedule):
        return given
    told = given.model_dump() if hasattr(given, "model_dump") else given
    if not isinstance(told, Mapping):
        raise ConfigurationError(f"{given!r} is no schedule; write for instance Cron('0 3 * * *') or Interval(3600).")
    inner = told.get("schedule")
    if inner is not None and not isinstance(inner, Mapping):
        inner = inner.model_dump()
    when = {**(told if inner is None else inner)}
    options = {name: told[name] for name in _OPTIONS if told.get(name) is not None}
    times = {name: value for name, value in when.items() if value is not None and name not in (*_OPTIONS, "schedule")}
    try:
        if "interval" in times:
            times["interval"] = _span(times["interval"])
        if isinstance(times.get("anchor_date"), str):
            times["anchor_date"] = datetime.fromisoformat(times["anchor_date"])
        return Schedule(**times, **options)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{dict(told)} is no schedule: {error}") from None


def _interval(each: Any) -> Schedule:
    return schedule_of(each) if isinstance(each, Schedule | Mapping) else Interval(each)


def _from(each: Any, kind: str) -> Schedule:
    return schedule_of({kind: each} if isinstance(each, str) else each)


def _several(given: Any) -> list[Any]:
    is_one = isinstance(given, str | Mapping | Schedule) or not isinstance(given, Iterable)
    return [given] if is_one else list(given)


def _span(given: Any) -> timedelta:
    from sempre.core.schedules import parse_duration

    return parse_duration(given)
