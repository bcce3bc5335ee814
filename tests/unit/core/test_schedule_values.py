"""Schedules as values: validation texts, wire form, normalization on write."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sempre.core.schedules import (
    CronSchedule,
    IntervalSchedule,
    RRuleSchedule,
    from_json,
    normalize_rrule,
    occurrences,
    parse_duration,
    to_json,
    validate_cron,
    validate_rrule,
    validate_timezone,
)

NOW = datetime(2026, 11, 20, 16, 18, tzinfo=UTC)


@pytest.mark.parametrize("line", ["nonsense", "", "60 * * * *", "* * * *", "0 0 * * 8", "0 0 * * 1#6", "? * * * *",
                                  "@reboot", "H/15 * * * *", "*/0 * * * *", "1-70 * * * *", "0 0 1 1 * 0 1500",
                                  "1,,2 * * * *", "1-*/2 * * * *"])  # fmt: skip
def test_bad_cron(line: str) -> None:
    with pytest.raises(ValueError) as caught:
        CronSchedule(line)
    assert str(caught.value) == f'Invalid cron string: "{line}"'


def test_random_cron() -> None:
    with pytest.raises(ValueError) as caught:
        validate_cron("H * * * r")
    assert str(caught.value) == 'Random and Hashed expressions are unsupported, received: "H * * * r"'


@pytest.mark.parametrize("name", ["Mars", "", "../etc", "-05:00", "localtime"])
def test_bad_timezone(name: str) -> None:
    with pytest.raises(ValueError) as caught:
        validate_timezone(name)
    assert str(caught.value) == (
        f'Invalid timezone: "{name}" (specify in IANA tzdata format, for example, America/New_York)'
    )


@pytest.mark.parametrize("seconds", [0, -5])
def test_interval_must_be_positive(seconds: int) -> None:
    with pytest.raises(ValueError, match=r"^interval must be positive$"):
        IntervalSchedule(timedelta(seconds=seconds), NOW)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("FREQ=FOO", "invalid 'FREQ': FOO"),
        ("nonsense", "not enough values to unpack (expected 2, got 1)"),
        ("", "empty string"),
        ("FREQ=HOURLY;INTERVAL=0", "INTERVAL must be positive"),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "it never happens"),
    ],
)
def test_bad_rrule(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        RRuleSchedule(text)
    assert str(caught.value) == f'Invalid RRule string "{text}": {reason}'


def test_long_rrule() -> None:
    with pytest.raises(ValueError, match=r"^Invalid RRule string"):
        validate_rrule("FREQ=DAILY" + " " * 6500)


@pytest.mark.parametrize(
    ("text", "zone", "start"),
    [
        ("FREQ=MINUTELY;INTERVAL=7", "America/New_York", "20261120T111600"),
        ("FREQ=SECONDLY;INTERVAL=7", None, "20261120T161756"),
        ("RRULE:FREQ=MINUTELY", None, "20261120T161800"),
        ("FREQ=SECONDLY;COUNT=5", "UTC", "20200101T000000"),
        ("FREQ=DAILY", "America/New_York", "20200101T000000"),
        ("RRULE:FREQ=MINUTELY\nEXDATE:20260101T000000", "UTC", "20200101T000000"),
        ("RRULE:FREQ=MINUTELY\nRRULE:FREQ=WEEKLY", "UTC", "20200101T000000"),
        ("RDATE:20260110T120000", "UTC", "20200101T000000"),
    ],
)
def test_rrule_gets_a_start(text: str, zone: str | None, start: str) -> None:
    assert normalize_rrule(text, zone, NOW) == f"DTSTART:{start}\n{text}"


def test_rrule_with_a_start_is_left_alone() -> None:
    text = "dtstart;TZID=America/New_York:20260101T090000\nRRULE:FREQ=DAILY;UNTIL=20260103T090000Z"
    assert normalize_rrule(text, "UTC", NOW) == text
    # All digits are wall clock of the schedule's own zone, whatever zone they name.
    dates = occurrences(RRuleSchedule(text, "Asia/Tokyo"), datetime(2026, 1, 1, tzinfo=UTC), n=9)
    assert dates == [datetime(2026, 1, day, 0, 0, tzinfo=UTC) for day in (1, 2, 3)]


@pytest.mark.parametrize("text", ["DTSTART:19700101T000000\nFREQ=SECONDLY;BYHOUR=3;COUNT=1000000000"])
def test_a_hostile_rule_costs_bounded_time(text: str) -> None:
    begun = time.process_time()
    assert occurrences(RRuleSchedule(text), NOW) == []
    assert time.process_time() - begun < 10


ROUND_TRIPS: list[dict[str, Any]] = [
    {"interval": 3600.0, "anchor_date": "2026-01-01T09:00:00-05:00", "timezone": "America/New_York"},
    {"interval": 0.5, "anchor_date": "2026-01-01T09:00:00.000005Z", "timezone": "UTC"},
    {"cron": "0 9 * * *", "timezone": None, "day_or": False},
    {"rrule": "DTSTART:20260101T090000\nFREQ=DAILY", "timezone": "Europe/Berlin"},
    {"rrule": "FREQ=DAILY", "timezone": None},
]


@pytest.mark.parametrize("data", ROUND_TRIPS)
def test_round_trip(data: dict[str, Any]) -> None:
    assert to_json(from_json(data)) == data


def test_defaults() -> None:
    assert to_json(from_json({"interval": "PT1H"}, now=NOW)) == {
        "interval": 3600.0,
        "anchor_date": "2026-11-20T16:18:00Z",
        "timezone": "UTC",
    }
    assert from_json({"cron": "@daily"}) == CronSchedule("@daily", None, True)
    assert from_json({"rrule": "FREQ=DAILY"}) == RRuleSchedule("FREQ=DAILY", "UTC")
    assert from_json({"interval": 60, "anchor_date": "2026-01-01T09:00:00-05:00"}).timezone == "UTC"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"cron": "* * * * *", "x": 1},
        {"interval": 5, "cron": "* * * * *"},
        {"interval": None},
        {"interval": 5},
        {"interval": 5, "anchor_date": "yesterday"},
        {"cron": 5},
        {"cron": "* * * * *", "day_or": "yes"},
        {"cron": "* * * * *", "timezone": 4},
    ],
)
def test_bad_wire_form(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        from_json(data)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(5, 5), (0.25, 0.25), ("90", 90), ("01:00:00", 3600), ("00:01:30.5", 90.5), ("PT1H30M", 5400), ("P1DT1S", 86401),
     ("P2W", 1209600), ("-PT1S", -1), ("30:00:00", 108000)],
)  # fmt: skip
def test_durations(value: Any, seconds: float) -> None:
    assert parse_duration(value).total_seconds() == seconds


@pytest.mark.parametrize("value", ["", "P", "PT", "P1Y", "soon", True, None, float("nan"), float("inf"), 1e30, "1:75"])
def test_bad_durations(value: Any) -> None:
    with pytest.raises(ValueError):
        parse_duration(value)
