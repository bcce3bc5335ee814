"""What protects a finished run: which data of a state counts as a result, for flow runs and for task runs."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.support.rooms import Rooms

JsonObject = dict[str, Any]
RESULT = {"type": "reference", "x": 1}
UNPERSISTED = {"type": "unpersisted"}
OVERWRITES = "Cannot overwrite a COMPLETED state that carries persisted result data with one that does not."


async def a_flow_run(rooms: Rooms, state: JsonObject, **fields: Any) -> str:
    flow = (await rooms.post("/flows/", {"name": f"f-{uuid4()}"}, 201))["id"]
    return str((await rooms.post("/flow_runs/", {"flow_id": flow, "state": state, **fields}, 201))["id"])


async def a_task_run(rooms: Rooms, **fields: Any) -> str:
    body = {"task_key": "t", "dynamic_key": str(uuid4()), "flow_run_id": None, **fields}
    return str((await rooms.post("/task_runs/", body, 201))["id"])


async def propose(rooms: Rooms, path: str, type: str, *, force: bool = False, data: Any = None) -> tuple[str, Any]:
    body = {"state": {"type": type, "data": data}, "force": force}
    answer = (await rooms.http.post(f"/api{path}/set_state", json=body)).json()
    return answer["status"], answer["details"].get("reason")


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        (RESULT, None, True),
        (RESULT, UNPERSISTED, True),
        (RESULT, [1], True),
        (RESULT, 0, True),
        (RESULT, RESULT, False),
        (RESULT, {}, False),
        ([1], None, False),
        ({}, None, False),
        ("text", UNPERSISTED, False),
        (UNPERSISTED, None, False),
    ],
)
async def test_results_of_flow_runs_are_not_overwritten(
    rooms: Rooms, old: Any, new: Any, kept: bool, force: bool
) -> None:
    path = f"/flow_runs/{await a_flow_run(rooms, {'type': 'COMPLETED', 'data': old})}"
    expected = ("REJECT", OVERWRITES) if kept else ("ACCEPT", None)
    assert await propose(rooms, path, "COMPLETED", force=force, data=new) == expected


@pytest.mark.parametrize(("data", "kept"), [(RESULT, True), ([1], False), ({}, False), (0, False), (None, False)])
async def test_results_of_flow_runs_are_not_left(rooms: Rooms, data: Any, kept: bool) -> None:
    for type in ("RUNNING", "PENDING"):
        path = f"/flow_runs/{await a_flow_run(rooms, {'type': 'COMPLETED', 'data': data})}"
        expected = ("REJECT", "Run is already COMPLETED.") if kept else ("ACCEPT", None)
        assert await propose(rooms, path, type) == expected


@pytest.mark.parametrize(("data", "kept"), [(RESULT, True), ([1], True), ({}, False), (UNPERSISTED, False)])
async def test_results_of_task_runs_are_not_left(rooms: Rooms, data: Any, kept: bool) -> None:
    for type in ("RUNNING", "PENDING", "COMPLETED", "FAILED"):
        path = f"/task_runs/{await a_task_run(rooms)}"
        assert (await propose(rooms, path, "COMPLETED", data=data))[0] == "ACCEPT"
        expected = ("REJECT", "This run is already completed.") if kept else ("ACCEPT", None)
        assert await propose(rooms, path, type) == expected


async def test_the_mirrored_result_of_a_subflow_has_no_key(rooms: Rooms) -> None:
    """The artifact belongs to the subflow; what its parent's task run keeps is the result alone."""
    parent = await a_flow_run(rooms, {"type": "RUNNING"})
    task = await a_task_run(rooms, flow_run_id=parent)
    child = await a_flow_run(rooms, {"type": "RUNNING"}, parent_task_run_id=task)
    described = {"value": 1, "artifact_key": "k", "artifact_type": "t", "artifact_description": "d"}
    await propose(rooms, f"/flow_runs/{child}", "COMPLETED", data=described)
    found = {}
    for owner, id in (("flow_run_id", child), ("task_run_id", task)):
        [artifact] = await rooms.post("/artifacts/filter", {"artifacts": {owner: {"any_": [id]}}})
        assert artifact["data"] == {"value": 1}
        found[owner] = (artifact["key"], artifact["type"], artifact["description"])
    assert found == {"flow_run_id": ("k", "t", "d"), "task_run_id": (None, None, None)}
