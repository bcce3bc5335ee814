"""Schedules one by one, and the runs that go with them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from tests.integration.deployments.conftest import HOURLY, Deployments, Json

DAY = {"start_time": "2030-01-01T00:00:00Z", "end_time": "2030-01-01T05:00:00Z", "min_runs": 10}


async def _made_by(api: Deployments, id: str) -> list[str]:
    return sorted({run["created_by"]["id"] for run in await api.runs(id)})


async def test_create_read_change_delete(api: Deployments) -> None:
    made = await api.deploy()
    path = f"/deployments/{made['id']}/schedules"
    assert await api.get(path) == []
    sent = [
        {"schedule": {"rrule": "FREQ=DAILY", "timezone": "UTC"}, "slug": "r", "max_scheduled_runs": 3},
        {"schedule": {"cron": "0 9 * * *"}, "active": False, "parameters": {"x": 1}, "replaces": "r"},
    ]
    first, second = await api.post(path, sent, 201)
    assert first["schedule"] == {"rrule": "DTSTART:20200101T000000\nFREQ=DAILY", "timezone": "UTC"}
    assert (first["slug"], first["max_scheduled_runs"], first["deployment_id"]) == ("r", 3, made["id"])
    assert (second["active"], second["parameters"], second["slug"]) == (False, {"x": 1}, None)
    assert {schedule["id"] for schedule in await api.get(path)} == {first["id"], second["id"]}
    await api.patch(f"{path}/{second['id']}", {"active": True, "slug": None})
    changed = (await api.get(path))[0]
    assert (changed["id"], changed["active"], changed["parameters"]) == (second["id"], True, {"x": 1})
    assert (await api.read(made["id"]))["updated"] == made["updated"]
    taken = await api.post(path, [{"schedule": HOURLY, "slug": "r"}], 409)
    assert taken == {"detail": "Schedule slugs must be unique within a deployment."}
    taken = await api.patch(f"{path}/{second['id']}", {"slug": "r"}, 409)
    assert taken["detail"].startswith("Data integrity conflict.")
    await api.delete(f"{path}/{first['id']}")
    assert [schedule["id"] for schedule in await api.get(path)] == [second["id"]]
    await api.post(path, [{"schedule": HOURLY, "max_scheduled_runs": 51}], 422)


async def test_absent_ones(api: Deployments) -> None:
    made = await api.deploy()
    nowhere = f"/deployments/{uuid4()}/schedules"
    for answer in (
        await api.get(nowhere, 404),
        await api.post(nowhere, [], 404),
        await api.patch(f"{nowhere}/{uuid4()}", {}, 404),
        await api.delete(f"{nowhere}/{uuid4()}", 404),
    ):
        assert answer == {"detail": "Deployment not found."}
    absent = f"/deployments/{made['id']}/schedules/{uuid4()}"
    for answer in (await api.patch(absent, {}, 404), await api.delete(absent, 404)):
        assert answer == {"detail": "Schedule not found."}


async def test_planned_runs_are_complete(api: Deployments) -> None:
    pool = await api.pool()
    made = await api.deploy(
        work_pool_name=pool, version="7", tags=["t"], labels={"own": True}, parameters={"a": 1, "b": 1},
        schedules=[{"schedule": {**HOURLY, "timezone": "America/New_York"}, "parameters": {"b": 2}}],
    )  # fmt: skip
    schedule = made["schedules"][0]
    runs = await api.plan(made["id"], **DAY)
    assert [run["expected_start_time"] for run in runs] == [f"2030-01-01T0{hour}:00:00Z" for hour in range(6)]
    run = runs[0]
    assert run["next_scheduled_start_time"] == run["expected_start_time"]
    assert run["idempotency_key"] == f"scheduled {made['id']} {schedule['id']} 2029-12-31 19:00:00-05:00"
    assert (run["parameters"], run["tags"]) == ({"a": 1, "b": 2}, ["auto-scheduled", "t"])
    assert run["labels"] == {
        "own": True, "prefect.flow.id": made["flow_id"], "prefect.deployment.id": made["id"]
    }  # fmt: skip
    assert run["created_by"] == {"id": schedule["id"], "type": "SCHEDULE", "display_value": "IntervalSchedule"}
    assert (run["auto_scheduled"], run["deployment_version"], run["job_variables"]) == (True, "7", {})
    assert (run["work_pool_name"], run["work_queue_name"]) == (pool, "default")
    assert run["empirical_policy"]["retry_type"] is None
    assert run["empirical_policy"]["pause_keys"] == []
    state = run["state"]
    assert (state["type"], state["name"], state["message"]) == ("SCHEDULED", "Scheduled", "Flow run scheduled")
    assert state["state_details"]["scheduled_time"] == "2030-01-01T00:00:00Z"
    assert state["state_details"]["flow_run_id"] is None
    states = await api.scope.db.fetch("SELECT id, details FROM flow_run_state WHERE flow_run_id = $1", run["id"])
    assert [(str(row["id"]), row["details"]) for row in states] == [
        (state["id"], {"scheduled_time": "2030-01-01T00:00:00Z"})
    ]


async def test_planning_twice_or_at_once_plans_once(api: Deployments) -> None:
    made = await api.deploy(schedules=[{"schedule": HOURLY}, {"schedule": HOURLY, "slug": "b"}])
    await asyncio.gather(*(api.post(f"/deployments/{made['id']}/schedule", DAY) for _ in range(6)))
    runs = await api.plan(made["id"], **DAY)
    assert len(runs) == 12
    count = await api.scope.db.fetchval(
        "SELECT count(*) FROM flow_run_state WHERE flow_run_id = ANY($1)", [run["id"] for run in runs]
    )
    assert count == 12


async def test_planning_by_bounds(api: Deployments) -> None:
    made = await api.deploy(paused=True, schedules=[{"schedule": HOURLY}, {"schedule": HOURLY, "active": False}])
    assert await api.get("/deployments/name/x/y", 404) == {"detail": "Deployment not found"}
    assert await api.post(f"/deployments/{uuid4()}/schedule", {}) is None
    assert len(await api.plan(made["id"])) == 3
    assert len(await api.plan(made["id"], start_time="2020-01-01 00:00", min_runs=5, min_time=0)) == 8
    assert len(await api.plan(made["id"], start_time="2019-01-01", min_time=7200, min_runs=1)) == 11
    endless = {"start_time": "2018-01-01", "max_runs": 10**9, "min_runs": 10**9}
    await api.post(f"/deployments/{made['id']}/schedule", endless)
    count = await api.scope.db.fetchval("SELECT count(*) FROM flow_run WHERE deployment_id = $1", made["id"])
    assert count == 1011


async def _with_two_planned_schedules(api: Deployments) -> Json:
    """Runs of two schedules: one that is late, and those to come."""
    made = await api.deploy(schedules=[{"schedule": HOURLY, "slug": "a"}, {"schedule": HOURLY, "slug": "b"}])
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    await api.plan(made["id"], start_time=past, max_runs=1)
    assert len(await api.plan(made["id"], **DAY)) == 14
    return made


async def test_changes_remove_what_was_planned_but_not_what_is_late(api: Deployments) -> None:
    made = await _with_two_planned_schedules(api)
    await api.run(made["id"])
    await api.patch(f"/deployments/{made['id']}", {})
    assert [run["auto_scheduled"] for run in await api.runs(made["id"])] == [True, True, False]
    await api.plan(made["id"], **DAY)
    await api.deploy(flow_id=made["flow_id"], status=200)
    assert len(await api.runs(made["id"])) == 3


async def test_changing_one_schedule_removes_what_was_planned_and_no_late_run_of_another(api: Deployments) -> None:
    made = await _with_two_planned_schedules(api)
    ids = {schedule["slug"]: schedule["id"] for schedule in made["schedules"]}
    await api.patch(f"/deployments/{made['id']}/schedules/{ids['a']}", {"active": False})
    assert await _made_by(api, made["id"]) == sorted(ids.values())
    assert len(await api.runs(made["id"])) == 2
    assert len(await api.plan(made["id"], **DAY)) == 8
    await api.delete(f"/deployments/{made['id']}/schedules/{ids['a']}")
    assert await _made_by(api, made["id"]) == [ids["b"]]
    assert len(await api.runs(made["id"])) == 1
    left = await api.scope.db.fetchval(
        "SELECT count(*) FROM flow_run_state s WHERE NOT EXISTS (SELECT FROM flow_run r WHERE r.id = s.flow_run_id)"
    )
    assert left == 0


async def test_pausing_removes_all_that_was_planned(api: Deployments) -> None:
    made = await _with_two_planned_schedules(api)
    manual = await api.run(made["id"])
    assert await api.post(f"/deployments/{made['id']}/pause_deployment") is None
    assert [run["id"] for run in await api.runs(made["id"])] == [manual["id"]]
    assert (await api.read(made["id"]))["paused"] is True
    assert await api.post(f"/deployments/{made['id']}/resume_deployment") is None
    await api.post(f"/deployments/{made['id']}/resume_deployment")
    assert (await api.read(made["id"]))["paused"] is False
    assert await api.event_names(made["id"]) == ["created", "updated", "updated"]
    for call in ("pause", "resume"):
        answer = await api.post(f"/deployments/{uuid4()}/{call}_deployment", status=404)
        assert answer == {"detail": "Deployment not found"}


async def test_changes_of_all_kinds_at_once_stand_in_nobodys_way(api: Deployments) -> None:
    made = await api.deploy(schedules=[{"schedule": HOURLY, "slug": slug} for slug in "abcd"])
    path = f"/deployments/{made['id']}"
    for _ in range(3):
        await api.plan(made["id"], **DAY)
        patches = [api.patch(f"{path}/schedules/{s['id']}", {"active": True}) for s in made["schedules"]]
        swap = [{"slug": "a", "replaces": "b"}, {"slug": "b", "replaces": "a"}]
        await asyncio.gather(
            *patches,
            api.patch(path, {"schedules": swap}),
            api.patch(path, {"schedules": swap}),
            api.post(f"{path}/schedule", DAY),
            api.post(f"{path}/schedule", DAY),
        )
    assert {schedule["slug"] for schedule in await api.get(f"{path}/schedules")} == set("abcd")
    dates = [(run["created_by"]["id"], run["expected_start_time"]) for run in await api.runs(made["id"])]
    assert len(dates) == len(set(dates))
