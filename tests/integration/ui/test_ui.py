"""What the pages of a UI count and list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from tests.support.rooms import Rooms

JsonObject = dict[str, Any]


async def new_flow(rooms: Rooms) -> str:
    return str((await rooms.post("/flows/", {"name": f"f-{uuid4()}"}, 201))["id"])


async def new_run(rooms: Rooms, flow_id: str, **more: Any) -> JsonObject:
    made: JsonObject = await rooms.post("/flow_runs/", {"flow_id": flow_id, **more}, 201)
    return made


async def new_task(rooms: Rooms, run: JsonObject | None, type: str = "PENDING") -> str:
    body = {"flow_run_id": run and run["id"], "task_key": str(uuid4()), "dynamic_key": "0", "state": {"type": type}}
    return str((await rooms.post("/task_runs/", body, 201))["id"])


async def test_counts_by_flow(rooms: Rooms) -> None:
    one, two = await new_flow(rooms), await new_flow(rooms)
    for name in ("a", "b"):
        await rooms.post("/deployments/", {"name": name, "flow_id": one}, 201)
    counts = await rooms.post("/ui/flows/count-deployments", {"flow_ids": [one, two, one]})
    assert counts == {one: 2, two: 0}
    now = datetime.now(UTC)
    runs = []
    for hours in (2, 1, 3):
        at = (now + timedelta(hours=hours)).isoformat()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": at}}
        runs.append(await new_run(rooms, one, state=state))
    found = await rooms.post("/ui/flows/next-runs", {"flow_ids": [one, two]})
    assert found[two] is None
    assert found[one] == {
        name: runs[1][name]
        for name in ("id", "flow_id", "name", "state_name", "state_type", "next_scheduled_start_time")
    }
    await rooms.post("/ui/flows/next-runs", {}, 422)


async def test_history_is_dots(rooms: Rooms) -> None:
    flow = await new_flow(rooms)
    late = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    scheduled = {"type": "SCHEDULED", "state_details": {"scheduled_time": late}}
    waiting = await new_run(rooms, flow, state=scheduled)
    fresh = await new_run(rooms, flow)
    filter = {"flows": {"id": {"any_": [flow]}}}
    dots = await rooms.post("/ui/flow_runs/history", filter)
    assert [dot["id"] for dot in dots] == [fresh["id"], waiting["id"]]
    assert dots[1]["timestamp"] == waiting["expected_start_time"]
    assert 3600 <= dots[1]["lateness"] < 3700
    assert dots[0]["duration"] == 0
    assert [dot["id"] for dot in await rooms.post("/ui/flow_runs/history", {**filter, "limit": 1, "offset": 1})] == [
        waiting["id"]
    ]
    await rooms.post("/ui/flow_runs/history", {"limit": 1001}, 422)


async def test_task_runs_of_flow_runs_without_subflows(rooms: Rooms) -> None:
    flow = await new_flow(rooms)
    run, empty = await new_run(rooms, flow), await new_run(rooms, flow)
    await new_task(rooms, run)
    parent = await new_task(rooms, run)
    await new_run(rooms, flow, parent_task_run_id=parent)
    ids = [run["id"], empty["id"]]
    assert await rooms.post("/ui/flow_runs/count-task-runs", {"flow_run_ids": ids}) == {ids[0]: 1, ids[1]: 0}
    alone = await new_task(rooms, None)
    assert (await rooms.get(f"/ui/task_runs/{parent}"))["flow_run_name"] == run["name"]
    assert (await rooms.get(f"/ui/task_runs/{alone}"))["flow_run_name"] is None
    assert await rooms.get(f"/ui/task_runs/{uuid4()}", 404) == {"detail": "Task not found"}


async def test_task_runs_by_state(rooms: Rooms) -> None:
    run = await new_run(rooms, await new_flow(rooms))
    for type in ("RUNNING", "RUNNING", "COMPLETED"):
        await new_task(rooms, run, type)
    filter = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    counts = await rooms.post("/ui/task_runs/count", filter)
    assert len(counts) == 9
    assert {name: n for name, n in counts.items() if n} == {"RUNNING": 2, "COMPLETED": 1}


async def test_the_dashboard_has_twenty_bars(rooms: Rooms) -> None:
    run = await new_run(rooms, await new_flow(rooms))
    start = datetime(2026, 5, 1, 12, 0, 30, tzinfo=UTC)
    placed = [
        (0, "COMPLETED"),
        (60, "FAILED"),
        (60, "CRASHED"),
        (60, "CANCELLED"),
        (61, "RUNNING"),
        (1100, "COMPLETED"),
    ]
    for seconds, type in placed:
        id = await new_task(rooms, run, type)
        at = start.replace(second=0) + timedelta(seconds=seconds)
        await rooms.scope.db.execute("UPDATE task_run SET start_time = $2 WHERE id = $1", UUID(id), at)
    window = {"after_": start.isoformat(), "before_": (start + timedelta(minutes=18, seconds=45)).isoformat()}
    body = {
        "task_runs": {"start_time": window, "state": {"type": {"any_": ["RUNNING"]}}},
        "flow_runs": {"id": {"any_": [run["id"]]}},
    }
    bars = await rooms.post("/ui/task_runs/dashboard/counts", body)
    assert len(bars) == 20
    assert bars[0] == {"completed": 1, "failed": 0}
    assert bars[1] == {"completed": 1, "failed": 2}
    assert bars[18] == {"completed": 1, "failed": 0}
    assert sum(bar["completed"] + bar["failed"] for bar in bars) == 5
    assert sum(bar["completed"] for bar in await rooms.post(
        "/ui/task_runs/dashboard/counts", {**body, "work_pools": {}}
    )) == 0  # fmt: skip
    refused = await rooms.post("/ui/task_runs/dashboard/counts", {"task_runs": {}}, 422)
    assert refused == {"detail": "task_runs.start_time.after_ is required"}


async def test_forms_are_checked_with_their_placeholders(rooms: Rooms) -> None:
    variable = f"v-{uuid4().hex[:8]}"
    await rooms.post("/variables/", {"name": variable, "value": 3}, 201)
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "m": {"type": "string"}}, "required": ["n"]}

    async def check(values: JsonObject) -> JsonObject:
        answer: JsonObject = await rooms.post("/ui/schemas/validate", {"schema": schema, "values": values})
        return answer

    known = {"__prefect_kind": "workspace_variable", "variable_name": variable}
    assert await check({"n": known, "m": "x"}) == {"errors": [], "valid": True}
    unknown = {"__prefect_kind": "workspace_variable", "variable_name": "nope"}
    assert await check({"n": unknown}) == {
        "errors": [{"property": "n", "errors": ["Variable 'nope' not found in workspace."]}],
        "valid": False,
    }
    (missing,) = (await check({}))["errors"]
    assert missing["property"] == "n"
    refused = await rooms.post("/ui/schemas/validate", {"schema": {"type": "nope"}, "values": {}}, 422)
    assert refused["detail"].startswith("Invalid schema: ")
    await rooms.post("/ui/schemas/validate", {"values": {}}, 422)
