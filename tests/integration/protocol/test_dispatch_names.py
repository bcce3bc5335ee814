"""The names of queues that runs and deployments keep, and what a poll shows of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from sempre.server.deployments.readiness import Readiness
from tests.support.rooms import Rooms


async def test_a_queue_is_remembered_as_it_was_asked_for(rooms: Rooms) -> None:
    rooms.app.state.runtime = SimpleNamespace(readiness=Readiness(rooms.scope))
    pool = f"p-{uuid4().hex[:8]}"
    await rooms.post("/work_pools/", {"name": pool, "type": "process"}, 201)
    await rooms.post(f"/work_pools/{pool}/queues", {"name": "hi"}, 201)
    flow = (await rooms.post("/flows/", {"name": f"f-{uuid4()}"}, 201))["id"]
    plain, named = [
        (await rooms.post("/deployments/", {"name": name, "flow_id": flow, "work_pool_name": pool, **queue}, 201))["id"]
        for name, queue in (("plain", {}), ("named", {"work_queue_name": "hi"}))
    ]
    due = {"state": {"type": "SCHEDULED"}}
    shown: dict[str, Any] = {}
    for name, path, body in (
        ("a", f"/deployments/{plain}/create_flow_run", {}),
        ("b", f"/deployments/{plain}/create_flow_run", {"work_queue_name": "hi"}),
        ("c", f"/deployments/{named}/create_flow_run", {}),
        ("d", f"/deployments/{named}/create_flow_run", {"work_queue_name": "other"}),
        ("e", "/flow_runs/", {"flow_id": flow, "work_pool_name": pool, **due}),
        ("f", "/flow_runs/", {"flow_id": flow, "work_pool_name": pool, "work_queue_name": "hi", **due}),
    ):
        shown[name] = (await rooms.post(path, {"name": name, **body}, 201))["work_queue_name"]
    asked = {"a": None, "b": "hi", "c": "hi", "d": "other", "e": None, "f": "hi"}
    assert shown == {name: queue or "default" for name, queue in asked.items()}

    polled = await rooms.post(f"/work_pools/{pool}/get_scheduled_flow_runs", {})
    assert {run["flow_run"]["name"]: run["flow_run"]["work_queue_name"] for run in polled} == asked

    await rooms.delete(f"/work_pools/{pool}")
    runs = await rooms.post("/flow_runs/filter", {"flows": {"id": {"any_": [flow]}}})
    assert {run["name"]: run["work_queue_name"] for run in runs} == asked
    assert {run["work_queue_id"] for run in runs} == {None}
    kept = [(await rooms.get(f"/deployments/{id}"))["work_queue_name"] for id in (plain, named)]
    assert kept == [None, "hi"]


async def test_runs_that_only_name_a_queue_hold_its_slots(rooms: Rooms) -> None:
    flow = (await rooms.post("/flows/", {"name": f"f-{uuid4()}"}, 201))["id"]
    queue = await rooms.post("/work_queues/", {"name": f"q-{uuid4().hex[:8]}"}, 201)
    for type in ("RUNNING", "CANCELLING", "SCHEDULED"):
        body = {"flow_id": flow, "name": type, "work_queue_name": queue["name"], "state": {"type": type}}
        await rooms.post("/flow_runs/", body, 201)
    held = await rooms.post(f"/work_queues/{queue['id']}/concurrency_status", {})
    assert (held["active_slots"], held["count"]) == (2, 2)
    assert {run["name"] for run in held["flow_runs"]} == {"RUNNING", "CANCELLING"}


async def test_an_empty_schema_is_spelled_out(rooms: Rooms) -> None:
    flow = (await rooms.post("/flows/", {"name": f"f-{uuid4()}"}, 201))["id"]
    deployment = await rooms.post("/deployments/", {"name": "d", "flow_id": flow}, 201)
    path, spelled_out = f"/deployments/{deployment['id']}", {"type": "object", "properties": {}}
    assert deployment["parameter_openapi_schema"] == {}
    await rooms.patch(path, {"parameter_openapi_schema": {}})
    assert (await rooms.get(path))["parameter_openapi_schema"] == spelled_out
    await rooms.patch(path, {"parameter_openapi_schema": None, "enforce_parameter_schema": False})
    assert (await rooms.get(path))["parameter_openapi_schema"] is None
    again = await rooms.post("/deployments/", {"name": "d", "flow_id": flow, "parameter_openapi_schema": {}}, 200)
    assert again["parameter_openapi_schema"] == spelled_out
