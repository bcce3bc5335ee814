from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sempre.schedules import Cron, Interval, RRule, Schedule
from sempre.schemas.schedules import CronSchedule
from sempre.sdk.deploying.schedules import schedules_of
from sempre.sdk.errors import ConfigurationError

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def test_the_three_kinds_as_the_api_has_them() -> None:
    assert Interval(60, slug="often", parameters={"x": 1}).to_json(NOW) == {
        "schedule": {"interval": 60.0, "anchor_date": "2026-01-02T03:04:00Z", "timezone": "UTC"},
        "active": True,
        "parameters": {"x": 1},
        "slug": "often",
    }
    assert Cron("0 3 * * *", timezone="Europe/Berlin", active=False).to_json() == {
        "schedule": {"cron": "0 3 * * *", "timezone": "Europe/Berlin", "day_or": True},
        "active": False,
        "parameters": {},
    }
    assert RRule("FREQ=DAILY").to_json()["schedule"] == {"rrule": "FREQ=DAILY", "timezone": "UTC"}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"interval": 5}, [Interval(5)]),
        ({"interval": [timedelta(hours=1), 60]}, [Interval(3600), Interval(60)]),
        ({"cron": "0 3 * * *"}, [Cron("0 3 * * *")]),
        ({"cron": ["0 3 * * *", Cron("0 4 * * *")]}, [Cron("0 3 * * *"), Cron("0 4 * * *")]),
        ({"rrule": "FREQ=DAILY"}, [RRule("FREQ=DAILY", timezone=None)]),
        ({"schedule": Cron("0 3 * * *")}, [Cron("0 3 * * *")]),
        ({"schedule": CronSchedule(cron="0 3 * * *")}, [Cron("0 3 * * *")]),
        ({"schedules": [{"cron": "0 3 * * *", "active": False}]}, [Cron("0 3 * * *", active=False)]),
        (
            {"schedules": [{"schedule": {"interval": 60}, "slug": "a", "replaces": "b"}]},
            [Schedule(interval=timedelta(minutes=1), slug="a", replaces="b")],
        ),
        ({}, []),
    ],
)
def test_what_is_taken_for_schedules(given: dict[str, Any], wanted: list[Schedule]) -> None:
    assert schedules_of(**given) == wanted


def test_slips_are_told() -> None:
    with pytest.raises(ConfigurationError, match="Only one of"):
        schedules_of(interval=5, cron="0 3 * * *")
    with pytest.raises(ConfigurationError, match="no schedule"):
        schedules_of(schedule="tomorrow")
    with pytest.raises(ConfigurationError, match="corn"):
        schedules_of(schedules=[{"corn": "0 3 * * *"}])
    with pytest.raises(ValueError):
        Cron("every day")
    with pytest.raises(ValueError, match="positive"):
        Interval(0)
