"""Schedules: values, their wire form, and their dates. Pure; time is an argument."""

from sempre.core.schedules.cron import validate_cron
from sempre.core.schedules.dates import MAX_OCCURRENCES, idempotency_key, occurrences, planned
from sempre.core.schedules.model import (
    CronSchedule,
    IntervalSchedule,
    RRuleSchedule,
    Schedule,
    from_json,
    parse_duration,
    to_json,
    validate_interval,
    zone_of,
)
from sempre.core.schedules.rules import MAX_RRULE_LENGTH, normalize_rrule, validate_rrule
from sempre.core.schedules.zones import is_zone, validate_timezone

__all__ = [
    "MAX_OCCURRENCES",
    "MAX_RRULE_LENGTH",
    "CronSchedule",
    "IntervalSchedule",
    "RRuleSchedule",
    "Schedule",
    "from_json",
    "idempotency_key",
    "is_zone",
    "normalize_rrule",
    "occurrences",
    "parse_duration",
    "planned",
    "to_json",
    "validate_cron",
    "validate_interval",
    "validate_rrule",
    "validate_timezone",
    "zone_of",
]
