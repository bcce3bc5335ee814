"""Triggers of deployments: events upon which one runs. With the deployment they become automations that it owns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ValidationError, model_validator

from sempre.schemas.base import Duration
from sempre.schemas.triggers import CompoundTrigger, EventTrigger, MetricTrigger, SequenceTrigger
from sempre.sdk.errors import ConfigurationError

__all__ = [
    "DeploymentCompoundTrigger",
    "DeploymentEventTrigger",
    "DeploymentMetricTrigger",
    "DeploymentSequenceTrigger",
    "DeploymentTrigger",
    "automation_of",
    "triggers_of",
]

_OWN = frozenset({"name", "description", "enabled", "parameters", "job_variables", "schedule_after"})


class _OfDeployment(BaseModel):
    """What every trigger of a deployment can say.

    ``parameters`` of the run may contain templates over the event (``{{ event.payload.key }}``); the run is due
    ``schedule_after`` the event.
    """

    name: str | None = None
    description: str = ""
    enabled: bool = True
    parameters: dict[str, Any] | None = None
    job_variables: dict[str, Any] | None = None
    schedule_after: Duration = timedelta(0)

    @model_validator(mode="before")
    @classmethod
    def _reactive_unless_said(cls, given: Any) -> Any:
        return _with_posture(given) if isinstance(given, Mapping) else given


class DeploymentEventTrigger(_OfDeployment, EventTrigger):
    """Run upon events (``expect``, after those of ``after``), or upon their absence (``posture="Proactive"``)."""

    posture: Literal["Reactive", "Proactive"] = "Reactive"


class DeploymentMetricTrigger(_OfDeployment, MetricTrigger):
    """Run when a metric of runs stands beyond a threshold."""


class DeploymentCompoundTrigger(_OfDeployment, CompoundTrigger):
    """Run when some (``require``: any, all, or a number) of several triggers have fired within ``within``."""

    within: Duration | None = None


class DeploymentSequenceTrigger(_OfDeployment, SequenceTrigger):
    """Run when several triggers have fired in their order within ``within``."""

    within: Duration | None = None


DeploymentTrigger = (
    DeploymentEventTrigger | DeploymentMetricTrigger | DeploymentCompoundTrigger | DeploymentSequenceTrigger
)


def _with_posture(given: Mapping[str, Any]) -> dict[str, Any]:
    """Triggers within triggers are reactive too, unless they say otherwise."""
    told = dict(given)
    inner = told.get("triggers")
    if isinstance(inner, list | tuple):
        told["triggers"] = [_with_posture(each) if isinstance(each, Mapping) else each for each in inner]
    elif "posture" not in told and told.get("type", "event") == "event" and "metric" not in told:
        told["posture"] = "Reactive"
    return told


def triggers_of(given: Iterable[Any] | None) -> list[DeploymentTrigger]:
    """Triggers from themselves, or from mappings as files have them. Raises ConfigurationError."""
    return [_trigger(each) for each in given or ()]


def _trigger(given: Any) -> DeploymentTrigger:
    if isinstance(given, DeploymentTrigger):
        return given
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{given!r} is no trigger of a deployment, such as DeploymentEventTrigger(...).")
    strange = sorted(set(given) - {each for kind in _KINDS.values() for each in kind.model_fields})
    if strange:
        raise ConfigurationError(f"A trigger has no {', '.join(map(repr, strange))}.")
    try:
        found: DeploymentTrigger = _KINDS[_kind(given)].model_validate(given)
    except (ValidationError, KeyError) as error:
        raise ConfigurationError(f"{dict(given)} is no trigger: {error}") from None
    return found


_KINDS: dict[str, Any] = {
    "event": DeploymentEventTrigger,
    "metric": DeploymentMetricTrigger,
    "compound": DeploymentCompoundTrigger,
    "sequence": DeploymentSequenceTrigger,
}


def _kind(given: Mapping[str, Any]) -> str:
    if "type" in given:
        return str(given["type"])
    if "triggers" in given:
        return "compound" if "require" in given else "sequence"
    return "metric" if "metric" in given or given.get("posture") == "Metric" else "event"


def automation_of(trigger: DeploymentTrigger, deployment_id: UUID, default_name: str) -> dict[str, Any]:
    """The automation that runs the deployment when the trigger fires, as the API has it."""
    told = trigger.model_dump(mode="json", exclude=set(_OWN))
    action: dict[str, Any] = {
        "type": "run-deployment",
        "source": "selected",
        "deployment_id": str(deployment_id),
        "schedule_after": trigger.schedule_after.total_seconds(),
    }
    for name in ("parameters", "job_variables"):
        if getattr(trigger, name) is not None:
            action[name] = getattr(trigger, name)
    return {
        "name": trigger.name or default_name,
        "description": trigger.description,
        "enabled": trigger.enabled,
        "trigger": told,
        "actions": [action],
        "owner_resource": f"prefect.deployment.{deployment_id}",
    }
