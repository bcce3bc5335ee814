"""What actions do to deployments, runs, pools, queues and automations."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from sempre.schemas.actions import DoNothing
from sempre.server.actions.invocation import ActionFailed, Invocation
from sempre.server.actions.runner import Runner
from sempre.server.actions.targets import flow_run_of, target_of
from sempre.server.ids import new_id
from tests.integration.triggers.engine import Engine, automate, send
from tests.support.events import an_event
from tests.support.rooms import Rooms, rooms

__all__ = ["rooms"]

_ANY = {"type": "event", "posture": "Reactive", "expect": ["it.happened"], "threshold": 1, "within": 0}


async def _fire(
    rooms: Rooms, *actions: dict[str, Any], event: dict[str, Any] | None = None, **fields: Any
) -> list[dict[str, Any]]:
    """Let one event set off an automation. Returns how its actions ended, as events tell."""
    engine = Engine(rooms.scope)
    await engine.drain()
    await automate(rooms.scope, _ANY, *actions, **fields)
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


NOBODY = "00000000-0000-4000-8000-000000000009"


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ({"type": "run-deployment", "deployment_id": NOBODY}, "Unexpected status from 'run-deployment' action: 404"),
        ({"type": "pause-deployment", "deployment_id": NOBODY},
         "Unexpected status from 'pause-deployment' action: 404"),
        ({"type": "resume-deployment", "deployment_id": NOBODY},
         "Unexpected status from 'resume-deployment' action: 404"),
        ({"type": "pause-work-pool", "work_pool_id": NOBODY}, f"Work pool {NOBODY} not found"),
        ({"type": "resume-work-queue", "work_queue_id": NOBODY},
         "Unexpected status from 'resume-work-queue' action: 404"),
        ({"type": "resume-automation", "automation_id": NOBODY},
         "Unexpected status from 'resume-automation' action: 404"),
        ({"type": "call-webhook", "block_document_id": NOBODY}, "Unexpected status from 'call-webhook' action: 404"),
        ({"type": "send-notification", "block_document_id": NOBODY, "body": "b"},
         "Unexpected status from 'send-notification' action: 404"),
        ({"type": "cancel-flow-run"}, "Unexpected status from 'cancel-flow-run' action: 404"),
        ({"type": "delete-flow-run"}, "Unexpected status from 'delete-flow-run' action: 404"),
    ],
)  # fmt: skip
async def test_what_is_not_there_is_told(rooms: Rooms, action: dict[str, Any], reason: str) -> None:
    (ended,) = await _fire(rooms, action, event=_about(flow_run=NOBODY))
    assert (ended["event"], ended["payload"]["reason"]) == ("prefect.automation.action.failed", reason)


async def test_parameters_that_do_not_fit_are_told(rooms: Rooms) -> None:
    flow = await rooms.post("/flows/", {"name": "f"}, status=201)
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    body = {"name": "d", "flow_id": flow["id"], "parameter_openapi_schema": schema, "enforce_parameter_schema": True}
    made = await rooms.post("/deployments/", body, status=201)
    (ended,) = await _fire(
        rooms, {"type": "run-deployment", "deployment_id": made["id"], "parameters": {"n": "{{ event.event }}"}}
    )
    detail = ended["payload"]["validation_error"]
    assert ended["payload"]["reason"] == f"Validation error occurred for 'run-deployment' - {detail}"
    assert "it.happened" in detail
    assert await rooms.post("/flow_runs/filter", {}) == []


@pytest.mark.parametrize(
    ("reschedule", "state", "name"), [(True, "SCHEDULED", "Resuming"), (False, "RUNNING", "Running")]
)
async def test_a_paused_run_goes_on(rooms: Rooms, reschedule: bool, state: str, name: str) -> None:
    flow, deployment = await _deployment(rooms)
    details = {"pause_reschedule": reschedule, "pause_timeout": "2099-01-01T00:00:00Z"}
    body = {"flow_id": flow, "deployment_id": deployment, "state": {"type": "PAUSED", "state_details": details}}
    run = await rooms.post("/flow_runs/", body, status=201)
    (ended,) = await _fire(rooms, {"type": "resume-flow-run"}, event=_about(flow_run=run["id"]))
    assert ended["event"] == "prefect.automation.action.executed", ended
    after = (await rooms.get(f"/flow_runs/{run['id']}"))["state"]
    assert (after["type"], after["name"]) == (state, name)


async def test_a_run_that_is_not_paused_is_not_resumed(rooms: Rooms) -> None:
    flow, _ = await _deployment(rooms)
    run = await rooms.post("/flow_runs/", {"flow_id": flow, "state": {"type": "RUNNING"}}, status=201)
    (ended,) = await _fire(rooms, {"type": "resume-flow-run"}, event=_about(flow_run=run["id"]))
    assert ended["payload"]["reason"] == "Failed to resume flow run: Cannot resume a flow run that is not paused."


async def test_a_run_is_deleted(rooms: Rooms) -> None:
    flow, _ = await _deployment(rooms)
    run = await rooms.post("/flow_runs/", {"flow_id": flow}, status=201)
    (ended,) = await _fire(rooms, {"type": "delete-flow-run"}, event=_about(flow_run=run["id"]))
    assert ended["event"] == "prefect.automation.action.executed"
    await rooms.get(f"/flow_runs/{run['id']}", status=404)


async def test_what_was_paused_is_resumed(rooms: Rooms) -> None:
    """Inferred from the event; the first object of its kind counts."""
    _, deployment = await _deployment(rooms)
    pool = await rooms.post("/work_pools/", {"name": "p", "type": "process", "is_paused": True}, status=201)
    queue = pool["default_queue_id"]
    await rooms.post(f"/deployments/{deployment}/pause_deployment")
    await rooms.patch(f"/work_queues/{queue}", {"is_paused": True})
    other = await automate(rooms.scope, {**_ANY, "expect": ["never"]}, enabled=False)
    about = _about(deployment=deployment, work_pool=pool["id"], work_queue=queue, automation=str(other))
    kinds = ("deployment", "work-pool", "work-queue", "automation")
    ended = await _fire(rooms, *({"type": f"resume-{kind}", "source": "inferred"} for kind in kinds), event=about)
    assert [one["event"] for one in ended] == ["prefect.automation.action.executed"] * 4, ended
    targets = [one["related"][0] for one in ended]
    assert [target["prefect.resource.role"] for target in targets] == ["target"] * 4
    assert [target["prefect.resource.id"].split(".")[1] for target in targets] == list(kinds)
    assert not (await rooms.get("/work_pools/p"))["is_paused"]
    assert not (await rooms.get(f"/work_queues/{queue}"))["is_paused"]
    assert not (await rooms.get(f"/deployments/{deployment}"))["paused"]
    assert (await rooms.get(f"/automations/{other}"))["enabled"]


async def test_actions_on_trigger_take_the_firing_for_their_event(rooms: Rooms) -> None:
    """And are counted through with the others."""
    first, second = await _fire(rooms, {"type": "do-nothing"}, actions_on_trigger=[{"type": "do-nothing"}])
    assert [one["payload"]["action_index"] for one in (first, second)] == [0, 1]
    roles = [
        [(r["prefect.resource.role"], r["prefect.resource.id"]) for r in one["related"]] for one in (first, second)
    ]
    told = roles[0][0][1]
    assert roles[0][0] == ("automation-triggered-event", told)
    assert roles[0][1][1] != told
    assert roles[1] == [("automation-triggered-event", told), ("triggering-event", told)]
    row = await rooms.scope.db.fetchrow(
        "SELECT id FROM event WHERE event = 'prefect.automation.triggered' ORDER BY seq LIMIT 1"
    )
    assert row is not None
    assert told == f"prefect.event.{row['id']}"


async def test_a_run_is_told_in_the_state_of_the_event(rooms: Rooms) -> None:
    """It may have moved on since."""
    flow, deployment = await _deployment(rooms)
    body = {"flow_id": flow, "deployment_id": deployment, "state": {"type": "COMPLETED"}}
    run = await rooms.post("/flow_runs/", body, status=201)
    resource = {
        "prefect.resource.id": f"prefect.flow-run.{run['id']}",
        "prefect.state-type": "RUNNING",
        "prefect.state-name": "Running",
        "prefect.state-message": "on its way",
        "prefect.state-timestamp": "2026-11-20T10:00:00+00:00",
    }
    await rooms.post("/variables/", {"name": "place", "value": "Parma"}, status=201)
    parameters = {
        "state": "{{ flow_run.state }}",
        "flow": "{{ flow.name }} {{ flow | ui_url }}",
        "deployment": "{{ deployment.name }}",
        "absent": "{{ work_pool }}",
        "variable": "{{ variables.place }}",
        "labels": "{{ labels }}",
        "automation": "{{ automation.name }}",
        "firing": "{{ firing.trigger_states }}{{ firings | length }}{{ events | length }}",
    }
    event = {**_about(flow=flow, deployment=deployment), "resource": resource}
    (ended,) = await _fire(
        rooms, {"type": "run-deployment", "deployment_id": deployment, "parameters": parameters}, event=event
    )
    made = UUID(ended["related"][1]["prefect.resource.id"].rpartition(".")[2])
    seen = (await rooms.get(f"/flow_runs/{made}"))["parameters"]
    assert {key: seen["state"][key] for key in ("type", "name", "message")} == {
        "type": "RUNNING",
        "name": "Running",
        "message": "on its way",
    }
    assert seen["flow"].startswith("f http")
    assert seen["flow"].endswith(f"/flows/flow/{flow}")
    assert (seen["deployment"], seen["absent"], seen["variable"]) == ("d", None, "Parma")
    assert (seen["labels"], seen["automation"], seen["firing"]) == ({}, "an automation", "['Triggered']11")


async def test_a_template_that_cannot_be_rendered_is_told(rooms: Rooms) -> None:
    _, deployment = await _deployment(rooms)
    parameters = {"n": "{{ 1 / 0 }}"}
    (ended,) = await _fire(rooms, {"type": "run-deployment", "deployment_id": deployment, "parameters": parameters})
    assert ended["payload"]["reason"].startswith("Unable to create flow run from deployment: ")
    assert await rooms.post("/flow_runs/filter", {}) == []


def _invocation(labels: dict[str, str], event: dict[str, Any] | None) -> Invocation:
    return Invocation(
        id=uuid4(), scope=None, action=DoNothing(), index=0, attempts=1, automation={}, told={},  # type: ignore[arg-type]
        firing={"triggering_labels": labels}, triggering_event=event,
    )  # fmt: skip


def test_without_an_event_nothing_is_inferred() -> None:
    nothing = _invocation({}, None)
    for kind, words in (("deployment", "deployment"), ("work-pool", "work pool"), ("automation", "automation")):
        with pytest.raises(ActionFailed, match=f"^No event to infer the {words}$"):
            target_of(nothing, kind, None)
    with pytest.raises(ActionFailed, match=r"^No flow run could be inferred$"):
        flow_run_of(nothing)
    selected = uuid4()
    assert target_of(nothing, "deployment", selected) == selected


def test_the_run_that_was_counted_for_comes_first() -> None:
    event = {"resource": {"prefect.resource.id": f"prefect.flow-run.{NOBODY}"}, "related": []}
    counted = uuid4()
    assert flow_run_of(_invocation({"prefect.resource.id": f"prefect.flow-run.{counted}"}, event)) == counted
    assert flow_run_of(_invocation({"prefect.resource.id": "prefect.flow.x"}, event)) == UUID(NOBODY)


async def test_changes_of_automations_are_told(rooms: Rooms) -> None:
    body = {"name": "told", "trigger": _ANY, "actions": [{"type": "do-nothing"}]}
    made = await rooms.post("/automations/", body, status=201)
    await rooms.patch(f"/automations/{made['id']}", {"enabled": False})
    await rooms.delete(f"/automations/{made['id']}")
    events = await rooms.events(f"prefect.automation.{made['id']}")
    assert [event["event"].rpartition(".")[2] for event in events] == ["created", "updated", "deleted"]
    for event in events:
        assert event["resource"] == {
            "prefect.resource.id": f"prefect.automation.{made['id']}",
            "prefect.resource.name": "told",
        }
        assert event["related"] == []
        assert event["payload"].keys() == made.keys()
    assert [event["payload"]["enabled"] for event in events] == [True, False, False]
