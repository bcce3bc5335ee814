"""Flow runs, their retry policy and their inputs."""

import math
from typing import Literal
from uuid import UUID

from pydantic import Field, FiniteFloat, model_validator

from sempre.core.transitions.model import FlowRunPolicy as CorePolicy
from sempre.schemas.base import (
    DEPRECATED,
    ActionModel,
    DateTime,
    JsonObject,
    Labels,
    NewRunName,
    Parameters,
    Record,
    RunName,
    Seconds,
    WireModel,
)
from sempre.schemas.slugs import random_slug
from sempre.schemas.states import State, StateCreate, StateType

__all__ = [
    "CreatedBy",
    "DeploymentFlowRunCreate",
    "FlowRun",
    "FlowRunCreate",
    "FlowRunInput",
    "FlowRunPolicy",
    "FlowRunResponse",
    "FlowRunUpdate",
    "UpdatedBy",
]


class CreatedBy(WireModel):
    """Who made the object: an automation, a schedule, ..."""

    id: UUID | None = None
    type: str | None = None
    display_value: str | None = None


class UpdatedBy(CreatedBy):
    """Who changed the object last."""


class FlowRunPolicy(WireModel):
    """Retries and pauses of a flow run. Delays are seconds.

    ``max_retries`` and ``retry_delay_seconds`` are the old spelling: they fill the new fields where those say
    nothing.
    """

    max_retries: int = Field(default=0, json_schema_extra=DEPRECATED)
    retry_delay_seconds: FiniteFloat = Field(default=0.0, json_schema_extra=DEPRECATED)
    retries: int | None = None
    retry_delay: int | None = None
    pause_keys: set[str] | None = Field(default_factory=set)
    resuming: bool | None = False
    retry_type: Literal["in_process", "reschedule"] | None = None

    @model_validator(mode="after")
    def _fill_from_old_spelling(self) -> "FlowRunPolicy":
        if self.max_retries and not self.retries:
            self.retries = self.max_retries
        if self.retry_delay_seconds and not self.retry_delay:
            # Whole seconds: rounded up, so that no retry comes earlier than was asked for.
            self.retry_delay = math.ceil(self.retry_delay_seconds)
        return self

    def to_core(self) -> CorePolicy:
        return CorePolicy(
            max_retries=self.max_retries,
            retry_delay_seconds=self.retry_delay_seconds,
            retries=self.retries,
            retry_delay=self.retry_delay,
            pause_keys=tuple(sorted(self.pause_keys or ())),
            resuming=self.resuming,
            retry_type=self.retry_type,
        )


class _FlowRunBase(ActionModel):
    """What every way of creating a flow run takes."""

    state: StateCreate | None = None
    name: RunName = Field(default_factory=random_slug)
    parameters: Parameters = Field(default_factory=dict)
    context: JsonObject = Field(default_factory=dict)
    parent_task_run_id: UUID | None = None
    infrastructure_document_id: UUID | None = None
    empirical_policy: FlowRunPolicy = Field(default_factory=FlowRunPolicy)
    tags: list[str] = Field(default_factory=list)
    labels: Labels | None = Field(default_factory=dict)
    idempotency_key: str | None = None
    work_queue_name: str | None = None


class FlowRunCreate(_FlowRunBase):
    flow_id: UUID
    flow_version: str | None = None
    work_pool_name: str | None = None
    job_variables: JsonObject | None = None
    deployment_id: UUID | None = Field(default=None, json_schema_extra=DEPRECATED)


class DeploymentFlowRunCreate(_FlowRunBase):
    """Create a run of a deployment; what is absent comes from the deployment."""

    enforce_parameter_schema: bool | None = None
    job_variables: JsonObject | None = None


class FlowRunUpdate(ActionModel):
    name: NewRunName = None
    flow_version: str | None = None
    parameters: Parameters = Field(default_factory=dict)
    empirical_policy: FlowRunPolicy = Field(default_factory=FlowRunPolicy)
    tags: list[str] = Field(default_factory=list)
    infrastructure_pid: str | None = None
    job_variables: JsonObject | None = None


class FlowRun(Record):
    name: str = Field(default_factory=random_slug)
    flow_id: UUID
    state_id: UUID | None = None
    deployment_id: UUID | None = None
    deployment_version: str | None = None
    work_queue_id: UUID | None = None
    work_queue_name: str | None = None
    flow_version: str | None = None
    parameters: JsonObject = Field(default_factory=dict)
    idempotency_key: str | None = None
    context: JsonObject = Field(default_factory=dict)
    empirical_policy: FlowRunPolicy = Field(default_factory=FlowRunPolicy)
    tags: list[str] = Field(default_factory=list)
    labels: Labels | None = Field(default_factory=dict)
    parent_task_run_id: UUID | None = None
    state_type: StateType | None = None
    state_name: str | None = None
    run_count: int = 0
    expected_start_time: DateTime | None = None
    next_scheduled_start_time: DateTime | None = None
    start_time: DateTime | None = None
    end_time: DateTime | None = None
    total_run_time: Seconds = 0.0
    estimated_run_time: Seconds = 0.0
    estimated_start_time_delta: Seconds = 0.0
    auto_scheduled: bool = False
    infrastructure_document_id: UUID | None = None
    infrastructure_pid: str | None = None
    created_by: CreatedBy | None = None
    state: State | None = None
    job_variables: JsonObject | None = None


class FlowRunResponse(FlowRun):
    """A flow run with the names of the work queue and pool it is in now."""

    labels: Labels = Field(default_factory=dict)
    work_pool_id: UUID | None = None
    work_pool_name: str | None = None


class FlowRunInput(Record):
    flow_run_id: UUID
    key: str
    value: str
    sender: str | None = None
