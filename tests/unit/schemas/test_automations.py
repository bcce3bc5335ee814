"""Automations: triggers, actions and the guard against loops."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from sempre.schemas.actions import Action, CallWebhook, DoNothing, RunDeployment
from sempre.schemas.automations import AutomationCreate, AutomationUpdate
from sempre.schemas.triggers import (
    CompoundTrigger,
    EventTrigger,
    MetricTrigger,
    SequenceTrigger,
    Trigger,
    with_new_ids,
)

ID = "019375f0-0000-7000-8000-000000000001"
TRIGGER: TypeAdapter[Any] = TypeAdapter(Trigger)
ACTION: TypeAdapter[Any] = TypeAdapter(Action)
REACTIVE = {"posture": "Reactive", "expect": ["x"]}
METRIC = {"posture": "Metric", "metric": {"name": "lateness", "threshold": 1, "operator": ">"}}


def complaints(adapter: TypeAdapter[Any], body: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(body)
    return [error["msg"].removeprefix("Value error, ") for error in caught.value.errors()]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (REACTIVE, EventTrigger),
        ({"type": "event", **REACTIVE}, EventTrigger),
        ({"type": "compound", "triggers": [REACTIVE], "require": "all", "within": None}, CompoundTrigger),
        ({"triggers": [REACTIVE], "require": 1, "within": 5}, CompoundTrigger),
        ({"triggers": [REACTIVE], "within": 5}, SequenceTrigger),
        ({"type": "metric", **METRIC}, MetricTrigger),
        (METRIC, MetricTrigger),
    ],
)
def test_kinds_of_triggers(body: dict[str, Any], kind: type) -> None:
    made = TRIGGER.validate_python(body)
    assert type(made) is kind
    again = TRIGGER.validate_json(TRIGGER.dump_json(made))
    assert again == made


def test_event_trigger_out() -> None:
    out = json.loads(TRIGGER.dump_json(TRIGGER.validate_python({**REACTIVE, "id": ID})))
    assert out == {
        "type": "event", "id": ID, "match": {}, "match_related": {}, "after": [], "expect": ["x"], "for_each": [],
        "posture": "Reactive", "threshold": 1, "within": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize(("within", "meant"), [(None, 10), (0, 10), (10, 10), ("PT1M", 60)])
def test_proactive_windows(within: object, meant: int) -> None:
    body = {"posture": "Proactive"} | ({} if within is None else {"within": within})
    assert TRIGGER.validate_python(body).within == timedelta(seconds=meant)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (
            {"posture": "Proactive", "within": 9.9},
            "`within` for Proactive triggers must be greater than or equal to 10 seconds",
        ),
        ({"posture": "Reactive", "within": -1}, "`within` must not be negative"),
        ({"posture": "Reactive", "within": None}, "Input should be a valid timedelta"),
        ({"type": "event"}, "Field required"),
        ({"triggers": [REACTIVE], "require": 0, "within": 1}, "require must be at least 1"),
        (
            {"triggers": [REACTIVE], "require": 2, "within": 1},
            "require must be less than or equal to the number of triggers",
        ),
        ({"type": "compound", "triggers": [REACTIVE], "require": "any"}, "Field required"),
        ({"type": "sequence", "triggers": [REACTIVE]}, "Field required"),
        (
            {**METRIC, "metric": {**METRIC["metric"], "range": 299}},  # type: ignore[dict-item]
            "`range` must be greater than or equal to 300 seconds",
        ),
    ],
)
def test_triggers_refused(body: dict[str, Any], why: str) -> None:
    assert why in complaints(TRIGGER, body)


@pytest.mark.parametrize("body", [{"type": "nope"}, {"type": None}, [], "event"])
def test_unknown_triggers(body: object) -> None:
    assert len(complaints(TRIGGER, body)) == 1


def test_a_deep_tree_of_bad_triggers_is_refused_at_once() -> None:
    body: dict[str, Any] = {"type": "nope"}
    for _ in range(40):
        body = {"type": "compound", "triggers": [body], "require": "any", "within": None}
    began = time.process_time()
    assert complaints(TRIGGER, body)
    assert time.process_time() - began < 10, "each level must not double what the one below costs"


def test_new_ids_on_every_level() -> None:
    made = TRIGGER.validate_python({"triggers": [{"triggers": [REACTIVE], "within": None}], "within": None})
    fresh = with_new_ids(made)
    assert isinstance(fresh, SequenceTrigger)
    inner, old = fresh.triggers[0], made.triggers[0]
    assert isinstance(inner, SequenceTrigger)
    assert len({made.id, fresh.id, old.id, inner.id, old.triggers[0].id, inner.triggers[0].id}) == 6
    assert inner.triggers[0].model_dump(exclude={"id"}) == old.triggers[0].model_dump(exclude={"id"})


# --- actions -------------------------------------------------------------------------------------------

TARGETED = {
    "run-deployment": "deployment_id",
    "pause-deployment": "deployment_id",
    "resume-deployment": "deployment_id",
    "pause-work-pool": "work_pool_id",
    "resume-work-pool": "work_pool_id",
    "pause-work-queue": "work_queue_id",
    "resume-work-queue": "work_queue_id",
    "pause-automation": "automation_id",
    "resume-automation": "automation_id",
}


@pytest.mark.parametrize(("kind", "target"), TARGETED.items())
def test_targets(kind: str, target: str) -> None:
    assert ACTION.validate_python({"type": kind, target: ID}).source == "selected"
    assert ACTION.validate_python({"type": kind, "source": "inferred"}).source == "inferred"
    assert complaints(ACTION, {"type": kind}) == [f"{target} is required"]
    assert complaints(ACTION, {"type": kind, "source": "inferred", target: ID}) == [f"{target} is not allowed"]


def test_simple_actions() -> None:
    assert ACTION.validate_python({}) == DoNothing()
    assert ACTION.validate_python({"type": "cancel-flow-run", "nope": 1}).type == "cancel-flow-run"
    assert complaints(ACTION, {"type": "declare-incident"})
    assert complaints(ACTION, {"type": "change-flow-run-state"}) == ["Field required"]


def test_run_deployment() -> None:
    made = ACTION.validate_python({"type": "run-deployment", "source": "inferred", "schedule_after": "PT1M"})
    assert isinstance(made, RunDeployment)
    assert json.loads(made.model_dump_json())["schedule_after"] == 60.0
    bad = {"type": "run-deployment", "source": "inferred", "schedule_after": -1}
    assert complaints(ACTION, bad) == ["schedule_after must be non-negative"]


def test_webhook_payloads() -> None:
    body = {"type": "call-webhook", "block_document_id": ID}
    assert ACTION.validate_python(body).payload == ""
    made = ACTION.validate_python({**body, "payload": {"a": 1}})
    assert isinstance(made, CallWebhook)
    assert made.payload == '{\n  "a": 1\n}'
    assert complaints(ACTION, {**body, "payload": None})


@pytest.mark.parametrize(
    ("action", "field"),
    [
        ({"type": "send-notification", "block_document_id": ID, "body": "{{ x"}, "body"),
        ({"type": "send-notification", "block_document_id": ID, "body": "", "subject": "{% for %}"}, "subject"),
        ({"type": "call-webhook", "block_document_id": ID, "payload": "{% for a in b %}" * 11}, "payload"),
    ],
)
def test_templates_are_checked_when_written(action: dict[str, Any], field: str) -> None:
    assert ACTION.validate_python(action)
    (why,) = complaints(TypeAdapter(AutomationCreate), {"name": "a", "trigger": REACTIVE, "actions": [action]})
    assert why.startswith(f"'{field}' is not a valid template: ")


def test_placeholders_are_checked_when_written() -> None:
    parameters = {"a": {"__prefect_kind": "jinja", "template": "{{ x"}, "b": {"__prefect_kind": "jinja"}}
    action = {"type": "run-deployment", "deployment_id": ID, "parameters": parameters}
    (why,) = complaints(TypeAdapter(AutomationCreate), {"name": "a", "trigger": REACTIVE, "actions": [action]})
    assert why.startswith("Invalid parameters: \na: Invalid jinja: ")
    assert why.endswith("\n  b: Missing 'template' key in __prefect object")


def test_good_templates_and_plain_text() -> None:
    for body in ("{{ event.id }}", "100 {", "{ not a template }"):
        action = {"type": "send-notification", "block_document_id": ID, "body": body}
        assert AutomationUpdate.model_validate({"name": "a", "trigger": REACTIVE, "actions": [action]})


# --- loops ---------------------------------------------------------------------------------------------

RUNS = {"type": "run-deployment", "deployment_id": ID}
INFERRED = {"type": "run-deployment", "source": "inferred"}
ANY_RUN = {"prefect.resource.id": "prefect.flow-run.*"}
ONE_FLOW = {"prefect.resource.id": "prefect.flow.x"}


def automation(action: dict[str, Any], **trigger: Any) -> dict[str, Any]:
    started = {"posture": "Reactive", "expect": ["prefect.flow-run.Running"], **trigger}
    return {"name": "a", "trigger": started, "actions": [action]}


@pytest.mark.parametrize(
    ("body", "start"),
    [
        (automation(INFERRED), "Running an inferred deployment from a flow run state change event will lead to an"),
        (automation(INFERRED, match=ONE_FLOW, expect=["prefect.flow-run.*"]), "Running an inferred deployment"),
        (automation(RUNS), "Running a selected deployment"),
        (automation(RUNS, match=ANY_RUN), "Running a selected deployment"),
        (automation(RUNS, match={R: [p] for R, p in ANY_RUN.items()}), "Running a selected deployment"),
        (automation(RUNS, match_related=[ONE_FLOW, {}]), "Running a selected deployment"),
    ],
)
def test_loops_are_refused(body: dict[str, Any], start: str) -> None:
    for model in (AutomationCreate, AutomationUpdate):
        (why,) = complaints(TypeAdapter(model), body)
        assert why.startswith(start)


@pytest.mark.parametrize(
    "body",
    [
        automation(RUNS, match=ONE_FLOW),
        automation(RUNS, match_related=ONE_FLOW),
        automation(INFERRED, expect=["prefect.flow-run.Failed"]),
        automation(INFERRED, posture="Proactive"),
        automation({"type": "cancel-flow-run"}),
        {**automation(INFERRED), "enabled": False},
        {**automation({}), "actions_on_trigger": [INFERRED]},
    ],
)
def test_what_cannot_loop_is_allowed(body: dict[str, Any]) -> None:
    assert AutomationCreate.model_validate(body)


def test_unknown_keys() -> None:
    body = {**automation({}), "owner_resource": "prefect.deployment.x"}
    assert AutomationCreate.model_validate(body).owner_resource == "prefect.deployment.x"
    assert complaints(TypeAdapter(AutomationUpdate), body) == ["Extra inputs are not permitted"]
