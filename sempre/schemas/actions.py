"""Actions of automations."""

import json
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from sempre.schemas.base import Duration, JsonObject, WireModel
from sempre.schemas.states import StateType

__all__ = [
    "Action",
    "CallWebhook",
    "CancelFlowRun",
    "ChangeFlowRunState",
    "DeleteFlowRun",
    "DoNothing",
    "PauseAutomation",
    "PauseDeployment",
    "PauseWorkPool",
    "PauseWorkQueue",
    "ResumeAutomation",
    "ResumeDeployment",
    "ResumeFlowRun",
    "ResumeWorkPool",
    "ResumeWorkQueue",
    "RunDeployment",
    "SendNotification",
    "SuspendFlowRun",
    "check_templates",
]


class _Action(WireModel):
    type: str

    def templates(self) -> dict[str, str]:
        """The template texts of this action by field."""
        return {}


class DoNothing(_Action):
    type: Literal["do-nothing"] = "do-nothing"


class _Targeted(_Action):
    """An action on one object: the ``selected`` one, or the one ``inferred`` from the triggering event."""

    _target: ClassVar[str]

    source: Literal["selected", "inferred"] = "selected"

    @model_validator(mode="after")
    def _check_target(self) -> "_Targeted":
        given = getattr(self, self._target) is not None
        if self.source == "selected" and not given:
            raise ValueError(f"{self._target} is required")
        if self.source == "inferred" and given:
            raise ValueError(f"{self._target} is not allowed")
        return self


class _DeploymentAction(_Targeted):
    _target = "deployment_id"
    deployment_id: UUID | None = None


class RunDeployment(_DeploymentAction):
    """Starts a run ``schedule_after`` from the firing; templates in ``parameters`` are rendered then."""

    type: Literal["run-deployment"] = "run-deployment"
    parameters: JsonObject | None = None
    job_variables: JsonObject | None = None
    schedule_after: Duration = Field(default_factory=timedelta)

    @field_validator("schedule_after")
    @classmethod
    def _not_negative(cls, value: timedelta) -> timedelta:
        if value < timedelta(0):
            raise ValueError("schedule_after must be non-negative")
        return value


class PauseDeployment(_DeploymentAction):
    type: Literal["pause-deployment"] = "pause-deployment"


class ResumeDeployment(_DeploymentAction):
    type: Literal["resume-deployment"] = "resume-deployment"


# --- flow runs: always the one of the triggering event -------------------------------------------------


class CancelFlowRun(_Action):
    type: Literal["cancel-flow-run"] = "cancel-flow-run"


class SuspendFlowRun(_Action):
    type: Literal["suspend-flow-run"] = "suspend-flow-run"


class ResumeFlowRun(_Action):
    type: Literal["resume-flow-run"] = "resume-flow-run"


class DeleteFlowRun(_Action):
    type: Literal["delete-flow-run"] = "delete-flow-run"


class ChangeFlowRunState(_Action):
    type: Literal["change-flow-run-state"] = "change-flow-run-state"
    name: str | None = None
    state: StateType
    message: str | None = None
    force: bool = False


# --- work pools, work queues, automations --------------------------------------------------------------


class _WorkPoolAction(_Targeted):
    _target = "work_pool_id"
    work_pool_id: UUID | None = None


class PauseWorkPool(_WorkPoolAction):
    type: Literal["pause-work-pool"] = "pause-work-pool"


class ResumeWorkPool(_WorkPoolAction):
    type: Literal["resume-work-pool"] = "resume-work-pool"


class _WorkQueueAction(_Targeted):
    _target = "work_queue_id"
    work_queue_id: UUID | None = None


class PauseWorkQueue(_WorkQueueAction):
    type: Literal["pause-work-queue"] = "pause-work-queue"


class ResumeWorkQueue(_WorkQueueAction):
    type: Literal["resume-work-queue"] = "resume-work-queue"


class _AutomationAction(_Targeted):
    _target = "automation_id"
    automation_id: UUID | None = None


class PauseAutomation(_AutomationAction):
    type: Literal["pause-automation"] = "pause-automation"


class ResumeAutomation(_AutomationAction):
    type: Literal["resume-automation"] = "resume-automation"


# --- messages to the outside ---------------------------------------------------------------------------


class SendNotification(_Action):
    """``subject`` and ``body`` are templates; the block decides where the message goes."""

    type: Literal["send-notification"] = "send-notification"
    block_document_id: UUID
    subject: str = "Prefect automated notification"
    body: str

    def templates(self) -> dict[str, str]:
        return {"subject": self.subject, "body": self.body}


def _to_text(value: object) -> object:
    return json.dumps(value, indent=2) if isinstance(value, dict) else value


class CallWebhook(_Action):
    """``payload`` is a template; an object is kept as indented JSON text."""

    type: Literal["call-webhook"] = "call-webhook"
    block_document_id: UUID
    payload: Annotated[str, BeforeValidator(_to_text)] = ""

    def templates(self) -> dict[str, str]:
        return {"payload": self.payload}


def _kind(value: Any) -> str | None:
    kind = value.get("type", "do-nothing") if isinstance(value, dict) else getattr(value, "type", None)
    return kind if isinstance(kind, str) else None


def check_templates(action: _Action) -> None:
    """Raise ``ValueError`` for a template or placeholder that can never be rendered."""
    # Imported late: these bring a template engine, which clients do without.
    from sempre.core.hydration import placeholder_problems
    from sempre.core.templates import validate_template

    if isinstance(action, RunDeployment) and (problems := placeholder_problems(action.parameters)):
        raise ValueError("Invalid parameters: \n" + "\n  ".join(problems))
    for field, text in action.templates().items():
        if ("{{" in text or "{%" in text) and (problem := validate_template(text)):
            raise ValueError(f"{field!r} is not a valid template: {problem.message}")


Action = Annotated[
    Annotated[DoNothing, Tag("do-nothing")]
    | Annotated[RunDeployment, Tag("run-deployment")]
    | Annotated[PauseDeployment, Tag("pause-deployment")]
    | Annotated[ResumeDeployment, Tag("resume-deployment")]
    | Annotated[CancelFlowRun, Tag("cancel-flow-run")]
    | Annotated[DeleteFlowRun, Tag("delete-flow-run")]
    | Annotated[ChangeFlowRunState, Tag("change-flow-run-state")]
    | Annotated[PauseWorkQueue, Tag("pause-work-queue")]
    | Annotated[ResumeWorkQueue, Tag("resume-work-queue")]
    | Annotated[SendNotification, Tag("send-notification")]
    | Annotated[CallWebhook, Tag("call-webhook")]
    | Annotated[PauseAutomation, Tag("pause-automation")]
    | Annotated[ResumeAutomation, Tag("resume-automation")]
    | Annotated[SuspendFlowRun, Tag("suspend-flow-run")]
    | Annotated[ResumeFlowRun, Tag("resume-flow-run")]
    | Annotated[PauseWorkPool, Tag("pause-work-pool")]
    | Annotated[ResumeWorkPool, Tag("resume-work-pool")],
    Discriminator(_kind),
]
