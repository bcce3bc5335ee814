"""The worked table of schedules, over HTTP: what is posted, and at which times its runs start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from tests.support.rooms import Rooms

NEW_YORK = "America/New_York"


def every(interval: float | str, anchor: str, timezone: str | None = NEW_YORK) -> dict[str, Any]:
    return {"interval": interval, "anchor_date": anchor, "timezone": timezone}


def cron(line: str, timezone: str = NEW_YORK, day_or: bool = True) -> dict[str, Any]:
    return {"cron": line, "timezone": timezone, "day_or": day_or}


def rrule(*lines: str) -> dict[str, Any]:
    return {"rrule": "\n".join(lines), "timezone": NEW_YORK}


NINE = "2026-01-01T09:00:00-05:00"
TABLE = [
    (every(3600, "2026-01-01T00:00:00-05:00"), "03-08 05:30", "03-08 06:00, 03-08 07:00, 03-08 08:00"),
    (every("PT1H", "2026-01-01T00:00:00-05:00"), "11-01 04:30", "11-01 05:00, 11-01 06:00, 11-01 07:00, 11-01 08:00"),
    (every(86400, NINE), "03-07 00:00", "03-07 14:00, 03-08 13:00, 03-09 13:00"),
    (every("24:00:00", NINE), "10-31 00:00", "10-31 14:00, 11-01 15:00, 11-02 15:00"),
    (every(86400, NINE, None), "03-07 00:00", "03-07 14:00, 03-08 14:00, 03-09 14:00"),
    (every(43200, NINE), "03-07 00:00", "03-07 02:00, 03-07 14:00, 03-08 02:00, 03-08 14:00"),
    (every(129600, NINE), "03-06 00:00", "03-07 02:00, 03-08 13:00, 03-10 01:00"),
    (every(86400, "2026-01-01T02:30:00-05:00"), "03-07 00:00", "03-07 07:30, 03-08 07:30, 03-09 07:30"),
    (every(86400, "2026-06-01T01:30:00-04:00"), "10-31 00:00", "10-31 05:30, 11-01 05:30, 11-02 06:30"),
    (cron("0 * * * *"), "03-08 05:30", "03-08 06:00, 03-08 07:00, 03-08 08:00, 03-08 09:00"),
    (cron("0 * * * *"), "11-01 03:30", "11-01 04:00, 11-01 05:00, 11-01 07:00, 11-01 08:00"),
    (cron("0 9 * * *"), "10-31 00:00", "10-31 13:00, 11-01 14:00, 11-02 14:00"),
    (cron("30 2 * * *"), "03-07 00:00", "03-07 07:30, 03-08 07:30, 03-09 06:30"),
    (cron("0 0 13 * 5", "UTC"), "03-01 00:00", "03-06 00:00, 03-13 00:00, 03-20 00:00, 03-27 00:00"),
    (cron("0 0 13 * 5", "UTC", False), "03-01 00:00", "03-13 00:00, 11-13 00:00"),
    (rrule("DTSTART:20260101T090000", "FREQ=DAILY"), "10-31 00:00", "10-31 13:00, 11-01 14:00"),
    (
        rrule("DTSTART:20260101T000000", "FREQ=HOURLY"),
        "11-01 03:30",
        "11-01 04:00, 11-01 05:00, 11-01 07:00, 11-01 08:00",
    ),
    (rrule("DTSTART:20260101T000000", "FREQ=HOURLY"), "03-08 05:30", "03-08 06:00, 03-08 07:00, 03-08 08:00"),
    (
        rrule("DTSTART:20260101T090000", "RRULE:FREQ=DAILY;COUNT=4", "EXDATE:20260102T090000", "RDATE:20260110T120000"),
        "01-01 00:00",
        "01-01 14:00, 01-03 14:00, 01-04 14:00, 01-10 17:00",
    ),
]


async def _deployed(rooms: Rooms, schedule: dict[str, Any], status: int = 201) -> Any:
    flow = await rooms.post("/flows/", {"name": f"dates-{uuid4()}"}, 201)
    body = {"name": "d", "flow_id": flow["id"], "paused": True, "schedules": [{"schedule": schedule}]}
    return await rooms.post("/deployments/", body, status)


async def _runs(rooms: Rooms, id: str) -> list[dict[str, Any]]:
    body = {"deployments": {"id": {"any_": [id]}}, "sort": "EXPECTED_START_TIME_ASC"}
    runs: list[dict[str, Any]] = await rooms.post("/flow_runs/filter", body)
    return runs


@pytest.mark.parametrize(("schedule", "start", "expected"), TABLE)
async def test_the_table(rooms: Rooms, schedule: dict[str, Any], start: str, expected: str) -> None:
    dates = [f"2026-{text.replace(' ', 'T')}:00Z" for text in expected.split(", ")]
    made = await _deployed(rooms, schedule)
    bounds = {
        "start_time": f"2026-{start}:00Z", "end_time": "2027-12-31T00:00:00Z", "min_time": 0,
        "min_runs": len(dates), "max_runs": len(dates),
    }  # fmt: skip
    assert await rooms.post(f"/deployments/{made['id']}/schedule", bounds) is None
    runs = await _runs(rooms, made["id"])
    assert [run["next_scheduled_start_time"] for run in runs] == dates
    await rooms.post(f"/deployments/{made['id']}/schedule", bounds)
    assert [run["id"] for run in await _runs(rooms, made["id"])] == [run["id"] for run in runs]


@pytest.mark.parametrize(
    ("zone", "shown"),
    [("UTC", "2026-11-21 05:00:00+00:00"), (NEW_YORK, "2026-11-21 00:00:00-05:00"),
     ("Asia/Kathmandu", "2026-11-21 10:45:00+05:45")],
)  # fmt: skip
async def test_the_key_prints_local_time(rooms: Rooms, zone: str, shown: str) -> None:
    made = await _deployed(rooms, every(86400, "2026-01-01T05:00:00Z", zone))
    bounds = {"start_time": "2026-11-21T05:00:00Z", "end_time": "2026-11-21T05:00:00Z"}
    await rooms.post(f"/deployments/{made['id']}/schedule", bounds)
    (run,) = await _runs(rooms, made["id"])
    assert run["idempotency_key"] == f"scheduled {made['id']} {made['schedules'][0]['id']} {shown}"


async def test_microseconds_are_shown_where_there_are_some(rooms: Rooms) -> None:
    made = await _deployed(rooms, every(86400, "2026-01-01T05:00:00.250000Z", "UTC"))
    await rooms.post(
        f"/deployments/{made['id']}/schedule", {"start_time": "2026-11-21T00:00:00Z", "min_runs": 1, "max_runs": 1}
    )
    (run,) = await _runs(rooms, made["id"])
    assert run["idempotency_key"].endswith(" 2026-11-21 05:00:00.250000+00:00")


@pytest.mark.parametrize(
    ("interval", "timezone", "stored"),
    [(3600, None, "UTC"), ("PT90M", "Europe/Berlin", "Europe/Berlin"), ("00:10:00", "UTC", "UTC")],
)
async def test_intervals_are_stored_in_seconds(
    rooms: Rooms, interval: object, timezone: str | None, stored: str
) -> None:
    schedule = every(interval, "2026-01-01T09:00:00-05:00", timezone)  # type: ignore[arg-type]
    kept = (await _deployed(rooms, schedule))["schedules"][0]["schedule"]
    assert kept["interval"] == {"3600": 3600.0, "PT90M": 5400.0, "00:10:00": 600.0}[str(interval)]
    assert kept["timezone"] == stored


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (every(0, NINE), "interval must be positive"),
        (every(-5, NINE), "interval must be positive"),
        (every(60, NINE, "Mars/Olympus"), 'Invalid timezone: "Mars/Olympus" (specify in IANA tzdata format, for example, America/New_York)'),  # noqa: E501
        (cron("every day"), 'Invalid cron string: "every day"'),
        (cron("H 2 * * *"), 'Random and Hashed expressions are unsupported, received: "H 2 * * *"'),
        (cron("0 0 * * *", "Nowhere"), 'Invalid timezone: "Nowhere" (specify in IANA tzdata format, for example, America/New_York)'),  # noqa: E501
        (rrule("FREQ=SOMETIMES"), 'Invalid RRule string "FREQ=SOMETIMES"'),
        ({"cron": "0 0 * * *", "interval": 5}, "Extra inputs are not permitted"),
        (rrule("FREQ=DAILY;BYDAY=" + ",".join(["MO"] * 3000)), "6500"),
    ],
)  # fmt: skip
async def test_what_is_no_schedule(rooms: Rooms, schedule: dict[str, Any], text: str) -> None:
    answer = await _deployed(rooms, schedule, 422)
    assert answer["exception_message"] == "Invalid request received."
    assert any(text in detail["msg"] for detail in answer["exception_detail"]), answer["exception_detail"]


async def test_rules_without_a_start_are_pinned(rooms: Rooms) -> None:
    daily = (await _deployed(rooms, rrule("FREQ=DAILY")))["schedules"][0]["schedule"]
    assert daily["rrule"] == "DTSTART:20200101T000000\nFREQ=DAILY"
    text = (await _deployed(rooms, rrule("FREQ=MINUTELY;INTERVAL=7")))["schedules"][0]["schedule"]["rrule"]
    start, _, rule = text.partition("\n")
    assert rule == "FREQ=MINUTELY;INTERVAL=7"
    pinned = datetime.strptime(start, "DTSTART:%Y%m%dT%H%M%S").replace(tzinfo=ZoneInfo(NEW_YORK))
    # Multiples of the interval are counted on the local clock, and the latest that is not to come is taken.
    assert timedelta(0) <= datetime.now(UTC) - pinned < timedelta(minutes=8)
    assert (pinned.replace(tzinfo=UTC) - datetime(2020, 1, 1, tzinfo=UTC)).total_seconds() % 420 == 0
