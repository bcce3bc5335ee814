"""Automations: a trigger and what to do when it fires."""

from uuid import UUID

from pydantic import Field, field_validator, model_validator

from sempre.schemas.actions import Action, RunDeployment, check_templates
from sempre.schemas.base import ActionModel, DateTime, WireModel
from sempre.schemas.resources import ID, ResourceSpecification
from sempre.schemas.triggers import EventTrigger, Trigger

__all__ = [
    "Automation",
    "AutomationCreate",
    "AutomationPartialUpdate",
    "AutomationUpdate",
    "check_for_loop",
]

_STARTED_BY_ANY_RUN = frozenset(
    {"prefect.flow-run.Scheduled", "prefect.flow-run.Pending", "prefect.flow-run.Running", "prefect.flow-run.*"}
)


def _matches_any_run(specification: ResourceSpecification) -> bool:
    return specification.patterns() in ({}, {ID: ["prefect.flow-run.*"]})


def check_for_loop(enabled: bool, trigger: Trigger, actions: list[Action]) -> None:
    """Raise ``ValueError`` if the automation would start a run upon the start of that very run."""
    if not enabled or not isinstance(trigger, EventTrigger) or trigger.posture != "Reactive":
        return
    if _STARTED_BY_ANY_RUN.isdisjoint(trigger.expect):
        return
    runs = [action for action in actions if isinstance(action, RunDeployment)]
    if any(action.source == "inferred" for action in runs):
        raise ValueError(
            "Running an inferred deployment from a flow run state change event will lead to an infinite loop of "
            "flow runs. Name the deployment to run, and narrow the trigger to other flow runs."
        )
    unrestricted = _matches_any_run(trigger.match) and any(map(_matches_any_run, trigger.match_related_all()))
    if runs and unrestricted:
        raise ValueError(
            "Running a selected deployment from a flow run state change event of any flow run may lead to an "
            "infinite loop of flow runs. Narrow the trigger with `match` or `match_related`."
        )


class _AutomationAction(ActionModel):
    name: str
    description: str = ""
    enabled: bool = True
    tags: list[str] = Field(default_factory=list)
    trigger: Trigger
    actions: list[Action]
    actions_on_trigger: list[Action] = Field(default_factory=list)
    actions_on_resolve: list[Action] = Field(default_factory=list)

    @field_validator("actions", "actions_on_trigger", "actions_on_resolve")
    @classmethod
    def _check_templates(cls, actions: list[Action]) -> list[Action]:
        # Here and not in the actions: those are also what is read back, and what was stored must stay readable.
        for action in actions:
            check_templates(action)
        return actions

    @model_validator(mode="after")
    def _no_loop(self) -> "_AutomationAction":
        check_for_loop(self.enabled, self.trigger, self.actions)
        return self


class AutomationCreate(_AutomationAction):
    """``owner_resource`` names the resource that this automation goes with.

    With an ``id`` made by the client, creating it again answers with what is there.
    """

    id: UUID | None = None
    owner_resource: str | None = None


class AutomationUpdate(_AutomationAction):
    """Replaces what is sent; the rest keeps its value."""


class AutomationPartialUpdate(ActionModel):
    enabled: bool = True


class Automation(WireModel):
    """A stored automation. It is not checked for loops: what was stored must stay readable."""

    name: str
    description: str = ""
    enabled: bool = True
    tags: list[str] = Field(default_factory=list)
    trigger: Trigger
    actions: list[Action]
    actions_on_trigger: list[Action] = Field(default_factory=list)
    actions_on_resolve: list[Action] = Field(default_factory=list)
    id: UUID
    created: DateTime | None
    updated: DateTime | None
