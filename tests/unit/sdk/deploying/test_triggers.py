from __future__ import annotations

from uuid import UUID

import pytest

from sempre.events import DeploymentCompoundTrigger, DeploymentEventTrigger
from sempre.schemas.automations import AutomationCreate
from sempre.sdk.deploying.triggers import automation_of, triggers_of
from sempre.sdk.errors import ConfigurationError

ID = UUID(int=7)


def test_an_event_trigger_becomes_an_automation_of_the_deployment() -> None:
    trigger = DeploymentEventTrigger(
        expect={"order.placed"}, match={"prefect.resource.id": "shop.*"}, parameters={"order": "{{ event.id }}"}
    )
    made = automation_of(trigger, ID, "nightly__automation_1")
    assert made["name"] == "nightly__automation_1"
    assert made["owner_resource"] == f"prefect.deployment.{ID}"
    (action,) = made["actions"]
    assert action["deployment_id"] == str(ID)
    assert action["parameters"] == {"order": "{{ event.id }}"}
    assert made["trigger"]["posture"] == "Reactive"
    assert not {"parameters", "job_variables", "schedule_after"} & set(made["trigger"])
    AutomationCreate.model_validate(made)  # what the server takes


def test_triggers_from_files() -> None:
    event, compound, sequence, metric = triggers_of(
        [
            {"enabled": False, "expect": ["a"], "schedule_after": 60},
            {"type": "compound", "require": "all", "within": 60, "triggers": [{"expect": ["a"]}, {"expect": ["b"]}]},
            {"triggers": [{"expect": ["a"]}, {"type": "event", "expect": ["b"]}]},
            {"metric": {"name": "lateness", "operator": ">", "threshold": 3}},
        ]
    )
    assert isinstance(event, DeploymentEventTrigger)
    assert (event.enabled, event.schedule_after.total_seconds()) == (False, 60)
    assert isinstance(compound, DeploymentCompoundTrigger)
    assert [type(each).__name__ for each in (sequence, metric)] == [
        "DeploymentSequenceTrigger",
        "DeploymentMetricTrigger",
    ]
    for each in (event, compound, sequence, metric):
        AutomationCreate.model_validate(automation_of(each, ID, "x"))


@pytest.mark.parametrize("given", ["order.placed", {"expected": ["a"]}, {"type": "moon"}, {"type": "compound"}])
def test_what_is_no_trigger_is_refused(given: object) -> None:
    with pytest.raises(ConfigurationError):
        triggers_of([given])
