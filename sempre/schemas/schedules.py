"""Schedules of deployments: intervals, cron lines and recurrence rules.

They have no tag: the key ``interval``, ``cron`` or ``rrule`` says which one it is, and unknown keys are refused.
"""

from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from sempre.core.schedules import model as core
from sempre.core.schedules.cron import validate_cron
from sempre.core.schedules.rules import validate_rrule
from sempre.core.schedules.zones import is_zone, validate_timezone
from sempre.schemas.base import ActionModel, Duration, to_utc

__all__ = ["CronSchedule", "IntervalSchedule", "RRuleSchedule", "Schedule"]


def _check_timezone(value: str) -> str:
    validate_timezone(value)
    return value


def _check_cron(value: str) -> str:
    validate_cron(value)
    return value


def _check_rrule(value: str) -> str:
    validate_rrule(value)
    return value


def _now() -> datetime:
    return datetime.now(UTC)


TimeZone = Annotated[str, AfterValidator(_check_timezone)]
"""A name of the IANA database."""


class IntervalSchedule(ActionModel):
    """Every ``interval`` counted from ``anchor_date`` in both directions.

    Without a timezone it follows the anchor's zone if that has a name, else UTC.
    """

    interval: Duration
    anchor_date: datetime = Field(default_factory=_now)
    timezone: TimeZone | None = None

    @model_validator(mode="after")
    def _settle(self) -> "IntervalSchedule":
        core.validate_interval(self.interval)
        if self.timezone is None:
            zone = self.anchor_date.tzinfo
            self.timezone = zone.key if isinstance(zone, ZoneInfo) and is_zone(zone.key) else "UTC"
        self.anchor_date = to_utc(self.anchor_date)
        return self

    def to_core(self) -> core.IntervalSchedule:
        return core.IntervalSchedule(self.interval, self.anchor_date, self.timezone)


class CronSchedule(ActionModel):
    """A cron line of five fields, or six with the seconds last; without a timezone in UTC.

    ``day_or``: when day of month and weekday are both restricted, either is enough.
    """

    cron: Annotated[str, AfterValidator(_check_cron)]
    timezone: TimeZone | None = None
    day_or: bool = True

    def to_core(self) -> core.CronSchedule:
        return core.CronSchedule(self.cron, self.timezone, self.day_or)


class RRuleSchedule(ActionModel):
    """RFC 5545 text, a rule or a set; its times are wall-clock times of ``timezone``."""

    rrule: Annotated[str, AfterValidator(_check_rrule)]
    timezone: TimeZone | None = "UTC"

    def to_core(self) -> core.RRuleSchedule:
        return core.RRuleSchedule(self.rrule, self.timezone)


Schedule = IntervalSchedule | CronSchedule | RRuleSchedule
