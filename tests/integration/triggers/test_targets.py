"""What actions do to deployments, runs, pools, queues and automations."""

from __future__ import annotations

from typing import Any

import pytest

from sempre.server.actions.runner import Runner
from sempre.server.ids import new_id
from tests.integration.triggers.engine import Engine, automate, send
from tests.support.events import an_event
from tests.support.rooms import Rooms, rooms

__all__ = ["rooms"]

_ANY = {"type": "event", "posture": "Reactive", "expect": ["it.happened"], "threshold": 1, "within": 0}


async def _fire(rooms: Rooms, *actions: dict[str, Any], event: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Let one event set off an automation. Returns how its actions ended, as events tell."""
    engine = Engine(rooms.scope)
    await engine.drain()
    await automate(rooms.scope, _ANY, *actions)
    await send(rooms.scope, event or an_event())
    await engine.drain()
    await Runner(rooms.scope, new_id()).run_due()
    rows = await rooms.scope.db.fetch(
        """
        SELECT event, related, payload FROM event
        WHERE event IN ('prefect.automation.action.executed', 'prefect.automation.action.failed') ORDER BY seq
        """
    )
    return [dict(row) for row in rows]


async def _deployment(rooms: Rooms) -> tuple[str, str]:
    flow = await rooms.post("/flows/", {"name": "f"}, status=201)
    made = await rooms.post("/deployments/", {"name": "d", "flow_id": flow["id"]}, status=201)
    return flow["id"], made["id"]


def _about(**objects: str) -> dict[str, Any]:
    related = [
        {"prefect.resource.id": f"prefect.{kind.replace('_', '-')}.{id}", "prefect.resource.role": kind}
        for kind, id in objects.items()
    ]
    return an_event(related=related, payload={"n": 7, "texts": ["a", "b"]})


async def test_a_deployment_runs_with_the_values_of_templates(rooms: Rooms) -> None:
    _, deployment = await _deployment(rooms)
    await rooms.post("/variables/", {"name": "place", "value": {"city": "Parma"}}, status=201)
    parameters = {
        "number": "{{ event.payload.n }}",
        "text": "n is {{ event.payload.n }}",
        "list": ["{{ event.payload.texts }}"],
        "place": {"__prefect_kind": "workspace_variable", "variable_name": "place"},
        "template": {"__prefect_kind": "jinja", "template": "{{ event.resource.id }}"},
    }
    action = {"type": "run-deployment", "source": "inferred", "parameters": parameters, "schedule_after": 5}
    (ended,) = await _fire(rooms, action, event=_about(deployment=deployment))
    assert ended["event"] == "prefect.automation.action.executed", ended
    (run,) = await rooms.post("/flow_runs/filter", {})
    assert run["deployment_id"] == deployment
    assert run["created_by"]["type"] == "AUTOMATION"
    assert run["parameters"] == {
        "number": 7,
        "text": "n is 7",
        "list": [["a", "b"]],
        "place": {"city": "Parma"},
        "template": "thing.1",
    }
    assert [resource["prefect.resource.role"] for resource in ended["related"]][:2] == ["target", "flow-run"]


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ({"type": "run-deployment", "source": "inferred"}, "No deployment could be inferred"),
        ({"type": "pause-work-pool", "source": "inferred"}, "No work pool could be inferred"),
        ({"type": "pause-work-queue", "source": "inferred"}, "No work queue could be inferred"),
        ({"type": "pause-automation", "source": "inferred"}, "No automation could be inferred"),
        ({"type": "cancel-flow-run"}, "No flow run could be inferred"),
    ],
)
async def test_what_cannot_be_inferred_fails_at_once(rooms: Rooms, action: dict[str, Any], reason: str) -> None:
    (ended,) = await _fire(rooms, action)
    assert ended["event"] == "prefect.automation.action.failed"
    assert ended["payload"]["reason"] == reason


@pytest.mark.parametrize(
    ("action", "state"),
    [
        ({"type": "cancel-flow-run"}, "CANCELLING"),
        ({"type": "suspend-flow-run"}, "PAUSED"),
        ({"type": "change-flow-run-state", "state": "FAILED", "name": "Given up"}, "FAILED"),
    ],
)
async def test_the_run_of_the_event_changes_its_state(rooms: Rooms, action: dict[str, Any], state: str) -> None:
    flow, deployment = await _deployment(rooms)
    body = {"flow_id": flow, "deployment_id": deployment, "state": {"type": "RUNNING"}}
    run = await rooms.post("/flow_runs/", body, status=201)
    (ended,) = await _fire(rooms, action, event=_about(flow_run=run["id"]))
    assert ended["event"] == "prefect.automation.action.executed", ended
    assert (await rooms.get(f"/flow_runs/{run['id']}"))["state_type"] == state


async def test_a_refused_state_is_told_with_its_reason(rooms: Rooms) -> None:
    flow, _ = await _deployment(rooms)
    run = await rooms.post("/flow_runs/", {"flow_id": flow, "state": {"type": "COMPLETED"}}, status=201)
    (ended,) = await _fire(rooms, {"type": "cancel-flow-run"}, event=_about(flow_run=run["id"]))
    assert ended["event"] == "prefect.automation.action.failed"
    assert ended["payload"]["reason"].startswith("Failed to set state: ")


async def test_pools_queues_deployments_and_automations_are_paused(rooms: Rooms) -> None:
    _, deployment = await _deployment(rooms)
    pool = await rooms.post("/work_pools/", {"name": "p", "type": "process"}, status=201)
    other = await automate(rooms.scope, {**_ANY, "expect": ["never"]})
    ended = await _fire(
        rooms,
        {"type": "pause-work-pool", "work_pool_id": pool["id"]},
        {"type": "pause-work-queue", "work_queue_id": pool["default_queue_id"]},
        {"type": "pause-deployment", "deployment_id": deployment},
        {"type": "pause-automation", "automation_id": str(other)},
    )
    assert [one["event"] for one in ended] == ["prefect.automation.action.executed"] * 4, ended
    assert (await rooms.get("/work_pools/p"))["is_paused"]
    assert (await rooms.get(f"/work_queues/{pool['default_queue_id']}"))["is_paused"]
    assert (await rooms.get(f"/deployments/{deployment}"))["paused"]
    assert not (await rooms.get(f"/automations/{other}"))["enabled"]
