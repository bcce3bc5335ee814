"""Times, durations, schedules and comparisons of documents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sempre.cli.bodies import differs, same
from sempre.cli.errors import CliError
from sempre.cli.moments import ago, duration, parse_duration, parse_time
from sempre.cli.schedules import build_schedule, schedule_in_words

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("0.5", 0.5), ("90s", 90), ("1h 30m", 5400), ("in 2 hours", 7200), ("an hour", 3600),
     ("1 day and 3 hours", 97200), ("1:30:00", 5400), ("0:05", 300), ("2 weeks", 1209600), ("1.5h", 5400)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "soon", "-5", "5 parsecs", "1:99", "1h later"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(CliError, match="duration"):
        parse_duration(text)


def test_times() -> None:
    assert parse_time("now", NOON) == NOON
    assert parse_time("in 2 hours", NOON) == NOON + timedelta(hours=2)
    assert parse_time("2026-12-01T09:00:00+01:00", NOON) == datetime(2026, 12, 1, 8, tzinfo=UTC)
    tomorrow, today = parse_time("tomorrow 9:00", NOON), parse_time("9:00", NOON)
    assert tomorrow - today == timedelta(days=1)
    assert (today.hour, today.date()) == (9, NOON.astimezone().date())
    with pytest.raises(CliError, match="no time"):
        parse_time("when it suits", NOON)


def test_words() -> None:
    assert ago((NOON - timedelta(minutes=3)).isoformat(), NOON) == "3 minutes ago"
    assert ago("2026-05-04T13:00:00Z", NOON) == "in 1 hour"
    assert ago(None) == ""
    assert duration(0.2) == "0 seconds"


def test_schedules() -> None:
    assert schedule_in_words({"schedule": {"interval": 7200.0}, "active": True}) == "every 2 hours"
    assert schedule_in_words({"schedule": {"interval": 5400.0}, "active": False}) == "every 5400 seconds - paused"
    cron = build_schedule(interval=None, cron="0 3 * * *", rrule=None, timezone="Europe/Berlin")
    assert schedule_in_words({"schedule": cron, "active": True}) == "cron 0 3 * * * (Europe/Berlin)"
    rule = {"rrule": "DTSTART:20200101T000000\nRRULE:FREQ=DAILY", "timezone": "UTC"}
    assert schedule_in_words({"schedule": rule, "active": True}) == "rrule FREQ=DAILY"
    with pytest.raises(CliError, match="Exactly one"):
        build_schedule(interval="60", cron="* * * * *", rrule=None)
    with pytest.raises(CliError, match="--anchor-date"):
        build_schedule(interval=None, cron="* * * * *", rrule=None, anchor_date="now")


def test_documents_that_say_the_same() -> None:
    assert not differs({"a": 1}, {"a": 1, "b": 2}), "what is there beside it does not count"
    assert not same({"a": 1}, {"a": 1, "b": 2})
    assert same({"a": 3600, "b": None}, {"a": 3600.0})
    assert same({"at": "2026-01-01T00:00:00Z"}, {"at": "2026-01-01T00:00:00+00:00"})
    assert differs({"at": "2026-01-01T00:00:00Z"}, {"at": "2026-01-02T00:00:00Z"})
    assert differs([1, 2], [1])
    assert differs({"a": False}, {"a": True})
    assert not differs({"a": []}, {"a": None})
