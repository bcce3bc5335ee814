"""What a replica remembers of a run is never believed: its writes prove it, and everything else is read again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from sempre.server.recall import DatabaseClock, Recall
from tests.support.database import Database
from tests.support.rooms import Rooms, open_rooms


@pytest.fixture
async def replicas(database: Database) -> AsyncIterator[tuple[Rooms, Rooms]]:
    async with open_rooms(database) as one, open_rooms(database) as other:
        yield one, other


async def _run(rooms: Rooms, **fields: Any) -> str:
    flow = await rooms.http.post("/api/flows/", json={"name": "remembered"})
    body = {"flow_id": flow.json()["id"], **fields}
    id: str = (await rooms.post("/flow_runs/", body, 201))["id"]
    return id


async def _propose(rooms: Rooms, id: str, type: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    answer = await rooms.http.post(f"/api/flow_runs/{id}/set_state", json={"state": {"type": type, **fields}})
    return answer.status_code, answer.json()


def _is_remembered(rooms: Rooms, id: str) -> bool:
    return rooms.scope.recall.flow_runs.get(rooms.scope.workspace_id, UUID(id)) is not None


async def test_replicas_that_take_turns_leave_one_legal_history(replicas: tuple[Rooms, Rooms]) -> None:
    one, other = replicas
    id = await _run(one)
    for rooms, type in ((one, "RUNNING"), (other, "RUNNING"), (one, "RUNNING"), (other, "RUNNING"), (one, "COMPLETED")):
        assert (await _propose(rooms, id, type))[0] == 201
        assert _is_remembered(rooms, id)
    states = await one.get(f"/flow_run_states/?flow_run_id={id}")
    assert [state["type"] for state in states] == ["PENDING", *["RUNNING"] * 4, "COMPLETED"]
    run = await other.get(f"/flow_runs/{id}")
    assert run["run_count"] == 4
    assert run["state_id"] == states[-1]["id"]


async def test_what_another_replica_decided_is_seen_before_anything_is_refused(
    replicas: tuple[Rooms, Rooms],
) -> None:
    one, other = replicas
    id = await _run(one)
    await _propose(one, id, "RUNNING")
    await _propose(other, id, "COMPLETED")
    # By what `one` remembers the run is RUNNING, and Cancelling would be accepted.
    status, answer = await _propose(one, id, "CANCELLING")
    assert (status, answer["status"], answer["state"]["type"]) == (200, "ABORT", "COMPLETED")


async def test_a_repeated_transition_is_answered_with_the_stored_state(replicas: tuple[Rooms, Rooms]) -> None:
    one, other = replicas
    id = await _run(one)
    details = {"transition_id": "5a4f2d7c-6a4a-4d36-9d1c-0d5f9f1d3a10"}
    _, first = await _propose(one, id, "RUNNING", state_details=details)
    for rooms in (one, other):
        status, again = await _propose(rooms, id, "RUNNING", state_details=details)
        assert (status, again["status"], again["state"]["id"]) == (200, "REJECT", first["state"]["id"])


async def test_a_change_beside_the_states_is_not_overwritten(replicas: tuple[Rooms, Rooms]) -> None:
    one, other = replicas
    id = await _run(one)
    await _propose(one, id, "RUNNING")
    await other.patch(f"/flow_runs/{id}", {"empirical_policy": {"retries": 2, "retry_delay": 0}})
    _, answer = await _propose(one, id, "FAILED")
    assert (answer["status"], answer["state"]["name"]) == ("REJECT", "AwaitingRetry")


async def test_a_deleted_run_is_gone_whatever_is_remembered(replicas: tuple[Rooms, Rooms]) -> None:
    one, other = replicas
    id = await _run(one)
    await _propose(one, id, "RUNNING")
    await other.delete(f"/flow_runs/{id}")
    assert (await _propose(one, id, "COMPLETED"))[0] == 404


async def test_a_deleted_flow_takes_no_more_runs(replicas: tuple[Rooms, Rooms]) -> None:
    one, other = replicas
    run = await one.get(f"/flow_runs/{await _run(one)}")
    await other.delete(f"/flows/{run['flow_id']}")
    await one.post("/flow_runs/", {"flow_id": run["flow_id"]}, 409)


async def test_runs_that_limits_have_a_say_in_are_not_remembered(replicas: tuple[Rooms, Rooms]) -> None:
    rooms, _ = replicas
    flow = await rooms.http.post("/api/flows/", json={"name": "limited"})
    deployment = await rooms.post(
        "/deployments/", {"name": "limited", "flow_id": flow.json()["id"], "concurrency_limit": 1}, 201
    )
    run = await rooms.post(f"/deployments/{deployment['id']}/create_flow_run", {}, 201)
    assert not _is_remembered(rooms, run["id"])
    await _propose(rooms, run["id"], "PENDING")
    assert not _is_remembered(rooms, run["id"])


def test_memory_is_bounded_in_number_and_time() -> None:
    workspace = UUID(int=0)
    recall = Recall(size=2, seconds=60)
    for number in range(3):
        recall.flow_runs.keep(workspace, UUID(int=number), {"number": number})
    assert recall.flow_runs.get(workspace, UUID(int=0)) is None
    assert recall.flow_runs.get(workspace, UUID(int=2)) == {"number": 2}
    assert recall.flow_runs.get(UUID(int=1), UUID(int=2)) is None
    stale = Recall(seconds=-1)
    stale.flow_runs.keep(workspace, UUID(int=1), {})
    assert stale.flow_runs.get(workspace, UUID(int=1)) is None


def test_the_clock_follows_the_database() -> None:
    clock = DatabaseClock()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    ahead = datetime.now(UTC) + timedelta(hours=3)
    clock.observe(ahead)
    assert ahead <= clock.now() < ahead + timedelta(seconds=5)
