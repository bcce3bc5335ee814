"""Deployments and their schedules."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from sempre.schemas import limits
from sempre.schemas.base import (
    DEPRECATED,
    ActionModel,
    DateTime,
    JsonObject,
    Labels,
    Parameters,
    PositiveInteger,
    Record,
    WireModel,
)
from sempre.schemas.concurrency import ConcurrencyOptions, GlobalConcurrencyLimitResponse
from sempre.schemas.flow_runs import CreatedBy, UpdatedBy
from sempre.schemas.schedules import Schedule

__all__ = [
    "DeploymentCreate",
    "DeploymentResponse",
    "DeploymentSchedule",
    "DeploymentScheduleCreate",
    "DeploymentScheduleUpdate",
    "DeploymentStatus",
    "DeploymentUpdate",
    "VersionInfo",
]


class DeploymentStatus(StrEnum):
    """Ready while something polls for its runs."""

    READY = "READY"
    NOT_READY = "NOT_READY"


class VersionInfo(WireModel):
    """What a client says about the source of a deployment; any further keys are kept."""

    model_config = ConfigDict(extra="allow")

    type: str
    version: str


# --- schedules -----------------------------------------------------------------------------------------


def _check_max_scheduled_runs(value: int) -> int:
    bound = limits.current().max_scheduled_runs
    if value > bound:
        raise ValueError(f"`max_scheduled_runs` must be less than or equal to {bound}.")
    return value


MaxScheduledRuns = Annotated[PositiveInteger, AfterValidator(_check_max_scheduled_runs)]


class DeploymentScheduleCreate(ActionModel):
    active: bool = True
    schedule: Schedule
    max_scheduled_runs: MaxScheduledRuns | None = None
    parameters: JsonObject = Field(default_factory=dict)
    slug: str | None = None
    replaces: str | None = None


class DeploymentScheduleUpdate(ActionModel):
    """``replaces`` names the slug that ``slug`` takes the place of. What is null or absent stays as it is."""

    active: bool | None = None
    schedule: Schedule | None = None
    max_scheduled_runs: MaxScheduledRuns | None = None
    parameters: JsonObject = Field(default_factory=dict)
    slug: str | None = None
    replaces: str | None = None


class DeploymentSchedule(Record):
    deployment_id: UUID | None = None
    schedule: Schedule
    active: bool = True
    max_scheduled_runs: PositiveInteger | None = None
    parameters: JsonObject = Field(default_factory=dict)
    slug: str | None = None


# --- deployments ---------------------------------------------------------------------------------------

_DROPPED = frozenset({"worker_pool_queue_id", "worker_pool_name", "worker_pool_queue_name", "work_pool_queue_name"})


class _DeploymentAction(ActionModel):
    """What creating and updating a deployment have in common."""

    concurrency_limit: PositiveInteger | None = None
    concurrency_options: ConcurrencyOptions | None = None
    global_concurrency_limit_id: UUID | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_keys_of_old_clients(cls, data: Any) -> Any:
        if isinstance(data, dict) and not _DROPPED.isdisjoint(data):
            return {key: value for key, value in data.items() if key not in _DROPPED}
        return data

    @model_validator(mode="after")
    def _one_limit(self) -> "_DeploymentAction":
        if self.concurrency_limit and self.global_concurrency_limit_id:
            raise ValueError("A deployment cannot have both a concurrency limit and a global concurrency limit.")
        return self


def _check_name(value: str) -> str:
    if any(character in value for character in "/%&><"):
        raise ValueError("the name of a deployment cannot contain any of / % & > <")
    return value


class DeploymentCreate(_DeploymentAction):
    """Create a deployment, or update the one of this flow that has the same name."""

    name: Annotated[str, AfterValidator(_check_name)]
    flow_id: UUID
    paused: bool = False
    schedules: list[DeploymentScheduleCreate] = Field(default_factory=list)
    enforce_parameter_schema: bool = True
    parameter_openapi_schema: JsonObject | None = Field(default_factory=dict)
    parameters: Parameters = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)
    labels: Labels | None = Field(default_factory=dict)
    pull_steps: list[JsonObject] | None = None
    work_queue_name: str | None = None
    work_pool_name: str | None = None
    storage_document_id: UUID | None = None
    infrastructure_document_id: UUID | None = None
    description: str | None = None
    path: str | None = None
    version: str | None = None
    entrypoint: str | None = None
    job_variables: JsonObject = Field(default_factory=dict)
    version_info: VersionInfo | None = None

    @model_validator(mode="after")
    def _parameters_fit(self) -> "DeploymentCreate":
        # Only a request that asks for it is checked: the default does not count.
        asked = "enforce_parameter_schema" in self.model_fields_set and self.enforce_parameter_schema
        if asked and self.parameter_openapi_schema:
            from sempre.core.parameters import check_deployment_parameters  # heavy, and clients do without

            check_deployment_parameters(self.parameters, self.parameter_openapi_schema)
        return self


class DeploymentUpdate(_DeploymentAction):
    version: str | None = None
    tags: list[str] = Field(default_factory=list)
    description: str | None = None
    paused: bool = False
    schedules: list[DeploymentScheduleUpdate] = Field(default_factory=list)
    parameters: Parameters | None = None
    parameter_openapi_schema: JsonObject | None = None
    enforce_parameter_schema: bool | None = None
    work_queue_name: str | None = None
    work_pool_name: str | None = None
    path: str | None = None
    entrypoint: str | None = None
    job_variables: JsonObject | None = Field(default_factory=dict)
    pull_steps: list[JsonObject] | None = None
    storage_document_id: UUID | None = None
    infrastructure_document_id: UUID | None = None
    version_info: VersionInfo | None = None


class DeploymentResponse(Record):
    name: str
    version: str | None = None
    description: str | None = None
    flow_id: UUID
    paused: bool = False
    schedules: list[DeploymentSchedule] = Field(default_factory=list)
    concurrency_limit: int | None = Field(default=None, json_schema_extra=DEPRECATED)
    global_concurrency_limit: GlobalConcurrencyLimitResponse | None = None
    concurrency_options: ConcurrencyOptions | None = None
    job_variables: JsonObject = Field(default_factory=dict)
    parameters: JsonObject = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)
    labels: Labels = Field(default_factory=dict)
    work_queue_name: str | None = None
    work_queue_id: UUID | None = None
    last_polled: DateTime | None = None
    parameter_openapi_schema: JsonObject | None = Field(default_factory=dict)
    path: str | None = None
    pull_steps: list[JsonObject] | None = None
    entrypoint: str | None = None
    storage_document_id: UUID | None = None
    infrastructure_document_id: UUID | None = None
    created_by: CreatedBy | None = None
    updated_by: UpdatedBy | None = None
    work_pool_name: str | None = None
    status: DeploymentStatus | None = DeploymentStatus.NOT_READY
    enforce_parameter_schema: bool = True
