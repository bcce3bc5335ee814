"""Effects of actions whose runner is killed before it can write that there was one: there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sempre.server.actions import claims
from sempre.server.actions.runner import Runner
from sempre.server.ids import new_id
from tests.integration.triggers.carrying import Json, fire, lapse, outcomes, rows_of
from tests.support.rooms import Rooms, rooms

__all__ = ["rooms"]


class Killed(BaseException):
    """What nobody catches: the process is gone."""


async def _deployment(rooms: Rooms) -> tuple[str, str]:
    flow = await rooms.post("/flows/", {"name": "f"}, status=201)
    made = await rooms.post("/deployments/", {"name": "d", "flow_id": flow["id"]}, status=201)
    return flow["id"], made["id"]


def _related(kind: str, id: str) -> Json:
    return {"prefect.resource.id": f"prefect.{kind}.{id}", "prefect.resource.role": kind}


async def killed_after_the_effect(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """One runner performs and dies before it can write so; another takes over when the claim has run out."""

    async def die(*_: Any, **__: Any) -> bool:
        raise Killed

    await killed_by(rooms, monkeypatch, die)


async def killed_by(rooms: Rooms, monkeypatch: pytest.MonkeyPatch, end: Callable[..., Awaitable[bool]]) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(claims, "finish", end)
        first = Runner(rooms.scope, new_id())
        claimed = await first._fill()
        await asyncio.gather(*first._running, return_exceptions=True)
    assert await outcomes(rooms) == []
    assert await Runner(rooms.scope, new_id()).run_due() == 0, "the claim holds"
    await lapse(rooms)
    assert await Runner(rooms.scope, new_id()).run_due() == claimed


async def test_a_deployment_runs_once_though_its_runner_is_killed(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, deployment = await _deployment(rooms)
    await fire(rooms, {"type": "run-deployment", "deployment_id": deployment})
    await killed_after_the_effect(rooms, monkeypatch)
    (run,) = await rooms.post("/flow_runs/filter", {})
    (outcome,) = await outcomes(rooms)
    assert outcome["event"] == "prefect.automation.action.executed"
    (row,) = await rows_of(rooms)
    assert run["idempotency_key"] == (f"automation {row['automation_id']}, action 0, invocation {row['id']}")


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ({"type": "cancel-flow-run"}, {"type": "RUNNING"}, ["RUNNING", "CANCELLING"]),
        ({"type": "suspend-flow-run"}, {"type": "RUNNING"}, ["RUNNING", "PAUSED"]),
        ({"type": "change-flow-run-state", "state": "SCHEDULED"}, {"type": "RUNNING"}, ["RUNNING", "SCHEDULED"]),
        ({"type": "change-flow-run-state", "state": "SCHEDULED", "force": True}, {"type": "FAILED"},
         ["FAILED", "SCHEDULED"]),
        ({"type": "resume-flow-run"}, {"type": "PAUSED", "state_details": {"pause_reschedule": True}},
         ["PAUSED", "SCHEDULED"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("goes_on", [False, True])
async def test_a_state_is_set_once_though_its_runner_is_killed(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch, action: Json, before: Json, after: list[str], goes_on: bool
) -> None:
    """Whether the run has gone on since or not."""
    flow, deployment = await _deployment(rooms)
    if before["type"] == "PAUSED":
        before = {**before, "state_details": {**before["state_details"], "pause_timeout": "2099-01-01T00:00:00Z"}}
    run = await rooms.post("/flow_runs/", {"flow_id": flow, "deployment_id": deployment, "state": before}, status=201)
    await fire(rooms, action, about=_related("flow-run", run["id"]))
    if goes_on:

        async def onward(*_: Any, **__: Any) -> bool:
            body = {"state": {"type": "COMPLETED"}, "force": True}
            await rooms.post(f"/flow_runs/{run['id']}/set_state", body, status=201)
            raise Killed

        await killed_by(rooms, monkeypatch, onward)
        after = [*after, "COMPLETED"]
    else:
        await killed_after_the_effect(rooms, monkeypatch)
    (outcome,) = await outcomes(rooms)
    assert outcome["event"] == "prefect.automation.action.executed", outcome
    states = await rooms.get(f"/flow_run_states/?flow_run_id={run['id']}")
    assert [state["type"] for state in sorted(states, key=lambda state: str(state["timestamp"]))] == after


async def test_a_run_is_deleted_once_though_the_runner_is_killed(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    flow, _ = await _deployment(rooms)
    run = await rooms.post("/flow_runs/", {"flow_id": flow}, status=201)
    await fire(rooms, {"type": "delete-flow-run"}, about=_related("flow-run", run["id"]))
    await killed_after_the_effect(rooms, monkeypatch)
    (outcome,) = await outcomes(rooms)
    assert outcome["event"] == "prefect.automation.action.executed"
    await rooms.get(f"/flow_runs/{run['id']}", status=404)


async def test_switches_are_turned_once_though_the_runner_is_killed(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, deployment = await _deployment(rooms)
    pool = await rooms.post("/work_pools/", {"name": "p", "type": "process"}, status=201)
    queue = pool["default_queue_id"]
    await fire(
        rooms,
        {"type": "pause-deployment", "deployment_id": deployment},
        {"type": "pause-work-queue", "work_queue_id": queue},
    )
    await killed_after_the_effect(rooms, monkeypatch)
    assert [outcome["event"] for outcome in await outcomes(rooms)] == ["prefect.automation.action.executed"] * 2
    assert (await rooms.get(f"/deployments/{deployment}"))["paused"]
    told = [event["event"] for event in await rooms.events(f"prefect.deployment.{deployment}")]
    assert told.count("prefect.deployment.updated") == 1
