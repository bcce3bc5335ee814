"""Changing one of several schedules: what is removed comes back within seconds, and no date is skipped."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest

from sempre.server.services import scheduler
from tests.support.rooms import Rooms

SECONDLY = {"interval": 1, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "UTC"}
HOURLY = {"interval": 3600, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "UTC"}


async def _deployed(rooms: Rooms, *schedules: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """A deployment that was last changed long ago: its id, and its schedules' ids by slug."""
    flow = await rooms.post("/flows/", {"name": f"flow-{uuid4()}"}, 201)
    named = [{"schedule": schedule, "slug": slug} for schedule, slug in zip(schedules, "abc", strict=False)]
    made = await rooms.post("/deployments/", {"name": "d", "flow_id": flow["id"], "schedules": named}, 201)
    await scheduler.run_recent(rooms.scope)
    for table in ("deployment", "deployment_schedule"):
        await rooms.scope.db.execute(f"UPDATE {table} SET updated = updated - interval '1 day'")
    return made["id"], {schedule["slug"]: schedule["id"] for schedule in made["schedules"]}


async def _planned(rooms: Rooms, id: str, schedule_id: str) -> list[str]:
    body = {"deployments": {"id": {"any_": [id]}}, "sort": "EXPECTED_START_TIME_ASC"}
    runs = await rooms.post("/flow_runs/filter", body)
    return [run["expected_start_time"] for run in runs if run["created_by"]["id"] == schedule_id]


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_the_other_schedule_is_planned_again_from_the_moment_of_the_change(rooms: Rooms, method: str) -> None:
    id, schedules = await _deployed(rooms, HOURLY, SECONDLY)
    path = f"/deployments/{id}/schedules/{schedules['a']}"
    before = await _planned(rooms, id, schedules["b"])
    assert len(before) == 100
    await rooms.call(method, path, {"active": False} if method == "PATCH" else None, status=204)
    assert await _planned(rooms, id, schedules["a"]) == []
    assert len(await _planned(rooms, id, schedules["b"])) <= 2  # at most those whose time had come meanwhile
    # The scheduler comes three seconds late: those dates must not be missing.
    await rooms.scope.db.execute(
        "UPDATE deployment_schedule SET updated = updated - interval '3 seconds' WHERE deployment_id = $1", UUID(id)
    )
    await scheduler.run_recent(rooms.scope)
    dates = [datetime.fromisoformat(text) for text in await _planned(rooms, id, schedules["b"])]
    assert len(dates) >= 100
    assert {later - earlier for earlier, later in pairwise(dates)} == {timedelta(seconds=1)}
    assert dates[0] <= datetime.fromisoformat(before[0]) + timedelta(seconds=2)
    assert await _planned(rooms, id, schedules["a"]) == []


async def test_late_runs_of_other_schedules_survive_a_deletion(rooms: Rooms) -> None:
    id, schedules = await _deployed(rooms, HOURLY, HOURLY)
    past = {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T01:00:00Z", "min_runs": 2}
    await rooms.post(f"/deployments/{id}/schedule", past)
    await rooms.delete(f"/deployments/{id}/schedules/{schedules['a']}")
    assert await _planned(rooms, id, schedules["a"]) == []
    assert await _planned(rooms, id, schedules["b"]) == ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"]
