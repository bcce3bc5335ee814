"""Work pools, their queues and their workers."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field

from sempre.schemas.base import (
    DEPRECATED,
    ActionModel,
    DateTime,
    JsonObject,
    Name,
    NonNegativeInteger,
    PositiveInteger,
    Record,
    WireModel,
)
from sempre.schemas.flow_runs import FlowRun
from sempre.schemas.states import StateType

__all__ = [
    "LONGEST_HEARTBEAT_SECONDS",
    "FlowRunSlotSummary",
    "QueueFilter",
    "WorkPoolConcurrencyStatus",
    "WorkPoolCreate",
    "WorkPoolResponse",
    "WorkPoolStatus",
    "WorkPoolStorageConfiguration",
    "WorkPoolUpdate",
    "WorkQueue",
    "WorkQueueConcurrencyStatus",
    "WorkQueueConcurrencyStatusDetail",
    "WorkQueueCreate",
    "WorkQueueHealthPolicy",
    "WorkQueueResponse",
    "WorkQueueStatus",
    "WorkQueueStatusDetail",
    "WorkQueueUpdate",
    "WorkerFlowRunResponse",
    "WorkerResponse",
    "WorkerStatus",
    "check_queue_name",
]


class WorkPoolStatus(StrEnum):
    READY = "READY"
    NOT_READY = "NOT_READY"
    PAUSED = "PAUSED"


class WorkQueueStatus(StrEnum):
    READY = "READY"
    NOT_READY = "NOT_READY"
    PAUSED = "PAUSED"


class WorkerStatus(StrEnum):
    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"


# --- pools ---------------------------------------------------------------------------------------------


def _check_template(template: JsonObject) -> JsonObject:
    from sempre.core.templates import check_base_job_template  # brings a template engine that clients do without

    check_base_job_template(template)
    return template


def _check_pool_name(name: object) -> object:
    if isinstance(name, str) and not name.strip("' \""):
        raise ValueError("name cannot be an empty string")
    return name


def check_queue_name(name: str | None) -> str | None:
    """The name itself. Raises ``ValueError`` unless a queue can have it."""
    if name is not None and (not name or not _IN_NO_NAME.isdisjoint(name)):
        raise ValueError("the name must not be empty, nor contain any of / % & > <")
    return name


_IN_NO_NAME = frozenset("/%&><")


JobTemplate = Annotated[JsonObject, AfterValidator(_check_template)]
"""Empty, or ``job_configuration`` (what a worker runs) beside ``variables`` (the JSON Schema of what it may vary)."""


class WorkPoolStorageConfiguration(ActionModel):
    bundle_upload_step: JsonObject | None = None
    bundle_execution_step: JsonObject | None = None
    default_result_storage_block_id: UUID | None = None


class WorkPoolCreate(ActionModel):
    name: Annotated[Name, BeforeValidator(_check_pool_name)]
    description: str | None = None
    type: str = "prefect-agent"
    base_job_template: JobTemplate = Field(default_factory=dict)
    is_paused: bool = False
    concurrency_limit: NonNegativeInteger | None = None
    storage_configuration: WorkPoolStorageConfiguration = Field(default_factory=WorkPoolStorageConfiguration)


class WorkPoolUpdate(ActionModel):
    description: str | None = None
    is_paused: bool | None = None
    base_job_template: JobTemplate | None = None
    concurrency_limit: NonNegativeInteger | None = None
    storage_configuration: WorkPoolStorageConfiguration | None = None


class WorkPoolResponse(Record):
    name: Name
    description: str | None = None
    type: str
    base_job_template: JsonObject = Field(default_factory=dict)
    is_paused: bool = False
    concurrency_limit: NonNegativeInteger | None = None
    status: WorkPoolStatus | None = None
    default_queue_id: UUID | None = None
    storage_configuration: WorkPoolStorageConfiguration = Field(default_factory=WorkPoolStorageConfiguration)
    active_slots: int | None = None


# --- queues --------------------------------------------------------------------------------------------


class QueueFilter(WireModel):
    """How the oldest kind of queue picked its runs."""

    tags: list[str] | None = None
    deployment_ids: list[UUID] | None = None


class WorkQueueCreate(ActionModel):
    name: Name
    description: str | None = ""
    is_paused: bool = False
    concurrency_limit: NonNegativeInteger | None = None
    priority: PositiveInteger | None = None
    filter: QueueFilter | None = Field(default=None, json_schema_extra=DEPRECATED)


class WorkQueueUpdate(ActionModel):
    # The API document promises no pattern here, but a name beyond it could be neither read nor listed by others.
    name: Annotated[str | None, AfterValidator(check_queue_name)] = None
    description: str | None = None
    is_paused: bool = False
    concurrency_limit: NonNegativeInteger | None = None
    priority: PositiveInteger | None = None
    last_polled: DateTime | None = None
    filter: QueueFilter | None = Field(default=None, json_schema_extra=DEPRECATED)


class WorkQueue(Record):
    name: Name
    description: str | None = ""
    is_paused: bool = False
    concurrency_limit: NonNegativeInteger | None = None
    priority: PositiveInteger = 1
    work_pool_id: UUID | None = None
    filter: QueueFilter | None = Field(default=None, json_schema_extra=DEPRECATED)
    last_polled: DateTime | None = None


class WorkQueueResponse(WorkQueue):
    work_pool_name: str | None = None
    status: WorkQueueStatus | None = None
    active_slots: int | None = None


class WorkQueueHealthPolicy(WireModel):
    """A queue is healthy while no more runs are late, and it was polled no longer ago, than this."""

    maximum_late_runs: int | None = 0
    maximum_seconds_since_last_polled: int | None = 60


class WorkQueueStatusDetail(WireModel):
    healthy: bool
    late_runs_count: int = 0
    last_polled: DateTime | None = None
    health_check_policy: WorkQueueHealthPolicy


# --- slots in use --------------------------------------------------------------------------------------


class FlowRunSlotSummary(WireModel):
    """A run that holds a slot; ``time_in_current_state`` is seconds."""

    id: UUID
    name: str
    state_type: StateType | None = None
    state_name: str | None = None
    start_time: DateTime | None = None
    state_timestamp: DateTime | None = None
    time_in_current_state: float | None = None


class WorkQueueConcurrencyStatusDetail(WireModel):
    queue_id: UUID
    queue_name: str
    active_slots: int
    concurrency_limit: int | None = None
    flow_runs: list[FlowRunSlotSummary] = Field(default_factory=list)
    flow_run_count: int | None = None


class WorkPoolConcurrencyStatus(WireModel):
    """Slots of a pool, queue by queue; the page counts queues."""

    active_slots: int
    concurrency_limit: int | None = None
    queues: list[WorkQueueConcurrencyStatusDetail] = Field(default_factory=list)
    count: int
    limit: int
    pages: int
    page: int


class WorkQueueConcurrencyStatus(WireModel):
    """Slots of a queue, run by run; the page counts runs."""

    active_slots: int
    concurrency_limit: int | None = None
    flow_runs: list[FlowRunSlotSummary] = Field(default_factory=list)
    count: int
    limit: int
    pages: int
    page: int


# --- workers -------------------------------------------------------------------------------------------

LONGEST_HEARTBEAT_SECONDS = 7 * 24 * 3600
"""A worker that is silent for longer is not alive. Also keeps a deadline reckoned from it within the calendar."""


class WorkerResponse(Record):
    name: str
    work_pool_id: UUID
    last_heartbeat_time: DateTime | None = None
    heartbeat_interval_seconds: int | None = None
    status: WorkerStatus = WorkerStatus.OFFLINE


class WorkerFlowRunResponse(WireModel):
    """A run that is due, and the pool and queue it came from."""

    work_pool_id: UUID
    work_queue_id: UUID
    flow_run: FlowRun
