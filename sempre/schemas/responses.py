"""Answers that are not stored objects: outcomes of transitions, pages, histories, graphs and what the UI draws."""

from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import Field, RootModel

from sempre.schemas.base import DateTime, Page, Record, Seconds, WireModel
from sempre.schemas.deployments import DeploymentResponse
from sempre.schemas.flow_runs import FlowRunResponse
from sempre.schemas.flows import Flow
from sempre.schemas.states import State, StateType
from sempre.schemas.task_runs import TaskRunResponse, TaskRunResult

__all__ = [
    "CountByState",
    "CsrfToken",
    "DependencyResult",
    "DeploymentBulkDeleteResponse",
    "DeploymentPaginationResponse",
    "Edge",
    "FlowBulkDeleteResponse",
    "FlowPaginationResponse",
    "FlowRunBulkCreateResponse",
    "FlowRunBulkDeleteResponse",
    "FlowRunBulkSetStateResponse",
    "FlowRunCreateResult",
    "FlowRunOrchestrationResult",
    "FlowRunPaginationResponse",
    "Graph",
    "GraphArtifact",
    "GraphState",
    "HistoryResponse",
    "HistoryResponseState",
    "Node",
    "OrchestrationResult",
    "SchemaValueIndexError",
    "SchemaValuePropertyError",
    "SchemaValuesValidationResponse",
    "ServerDefaultResultStorage",
    "ServerDefaultResultStorageUpdate",
    "SetStateStatus",
    "SimpleFlowRun",
    "SimpleNextFlowRun",
    "StateAbortDetails",
    "StateAcceptDetails",
    "StateRejectDetails",
    "StateWaitDetails",
    "TaskRunCount",
    "TaskRunPaginationResponse",
]

# --- outcomes of transitions ---------------------------------------------------------------------------


class SetStateStatus(StrEnum):
    ACCEPT = "ACCEPT"
    REJECT = "REJECT"
    ABORT = "ABORT"
    WAIT = "WAIT"


class StateAcceptDetails(WireModel):
    type: Literal["accept_details"] = "accept_details"


class StateRejectDetails(WireModel):
    type: Literal["reject_details"] = "reject_details"
    reason: str | None = None


class StateAbortDetails(WireModel):
    type: Literal["abort_details"] = "abort_details"
    reason: str | None = None


class StateWaitDetails(WireModel):
    """``delay_seconds`` to wait before proposing the state again."""

    type: Literal["wait_details"] = "wait_details"
    delay_seconds: int
    reason: str | None = None


TransitionDetails = StateAcceptDetails | StateWaitDetails | StateRejectDetails | StateAbortDetails


class OrchestrationResult(WireModel):
    """What became of a proposed state: the state the run is in now (null if it has none), and why."""

    state: State | None
    status: SetStateStatus
    details: TransitionDetails


class FlowRunOrchestrationResult(WireModel):
    """One run's outcome in a bulk transition."""

    flow_run_id: UUID
    status: SetStateStatus
    state: State | None = None
    details: TransitionDetails


class FlowRunBulkSetStateResponse(WireModel):
    results: list[FlowRunOrchestrationResult] = Field(default_factory=list)


# --- bulk calls ----------------------------------------------------------------------------------------


class FlowRunCreateResult(WireModel):
    flow_run_id: UUID | None = None
    status: Literal["CREATED", "FAILED"]
    error: str | None = None


class FlowRunBulkCreateResponse(WireModel):
    """Outcomes in the order of the request."""

    results: list[FlowRunCreateResult] = Field(default_factory=list)


class _Deleted(WireModel):
    deleted: list[UUID] = Field(default_factory=list)


class FlowBulkDeleteResponse(_Deleted):
    pass


class FlowRunBulkDeleteResponse(_Deleted):
    pass


class DeploymentBulkDeleteResponse(_Deleted):
    pass


# --- pages ---------------------------------------------------------------------------------------------


class FlowPaginationResponse(Page[Flow]):
    pass


class FlowRunPaginationResponse(Page[FlowRunResponse]):
    pass


class TaskRunPaginationResponse(Page[TaskRunResponse]):
    pass


class DeploymentPaginationResponse(Page[DeploymentResponse]):
    pass


# --- histories -----------------------------------------------------------------------------------------


class HistoryResponseState(WireModel):
    """Runs of one state within an interval; the sums are seconds."""

    state_type: StateType
    state_name: str
    count_runs: int
    sum_estimated_run_time: Seconds
    sum_estimated_lateness: Seconds


class HistoryResponse(WireModel):
    interval_start: DateTime
    interval_end: DateTime
    states: list[HistoryResponseState]


# --- graphs of a flow run ------------------------------------------------------------------------------


class DependencyResult(WireModel):
    """A task run in the first form of the graph; run times are seconds."""

    id: UUID
    name: str
    upstream_dependencies: list[TaskRunResult]
    state: State | None
    expected_start_time: DateTime | None
    start_time: DateTime | None
    end_time: DateTime | None
    total_run_time: Seconds | None
    estimated_run_time: Seconds | None
    untrackable_result: bool


class GraphState(WireModel):
    id: UUID
    timestamp: DateTime
    type: StateType
    name: str


class GraphArtifact(WireModel):
    id: UUID
    created: DateTime
    key: str | None
    type: str | None
    is_latest: bool
    data: Any | None


class Edge(WireModel):
    id: UUID


class Node(WireModel):
    kind: Literal["flow-run", "task-run"]
    id: UUID
    label: str
    state_type: StateType
    start_time: DateTime
    end_time: DateTime | None
    parents: list[Edge]
    children: list[Edge]
    encapsulating: list[Edge]
    artifacts: list[GraphArtifact]


class Graph(WireModel):
    """Nodes are pairs of id and node, by start and end."""

    start_time: DateTime | None
    end_time: DateTime | None
    root_node_ids: list[UUID]
    nodes: list[tuple[UUID, Node]]
    artifacts: list[GraphArtifact]
    states: list[GraphState]


# --- user interface ------------------------------------------------------------------------------------


class SimpleFlowRun(WireModel):
    """A dot in the run history; duration and lateness are seconds."""

    id: UUID
    state_type: StateType
    timestamp: DateTime
    duration: Seconds
    lateness: Seconds


class SimpleNextFlowRun(WireModel):
    id: UUID
    flow_id: UUID
    name: str
    state_name: str
    state_type: StateType
    next_scheduled_start_time: DateTime


class TaskRunCount(RootModel[dict[str, int]]):
    """Finished task runs of one bar of the dashboard, ``completed`` and ``failed``."""


class CountByState(WireModel):
    COMPLETED: int = 0
    PENDING: int = 0
    RUNNING: int = 0
    FAILED: int = 0
    CANCELLED: int = 0
    CRASHED: int = 0
    PAUSED: int = 0
    CANCELLING: int = 0
    SCHEDULED: int = 0


class SchemaValuePropertyError(WireModel):
    property: str
    errors: list["SchemaValueError"]


class SchemaValueIndexError(WireModel):
    index: int
    errors: list["SchemaValueError"]


SchemaValueError = str | SchemaValuePropertyError | SchemaValueIndexError
"""A sentence about the value itself, or the errors below one of its properties or items."""

SchemaValuePropertyError.model_rebuild()
SchemaValueIndexError.model_rebuild()


class SchemaValuesValidationResponse(WireModel):
    errors: list[SchemaValueError]
    valid: bool


# --- administration ------------------------------------------------------------------------------------


class CsrfToken(Record):
    token: str
    client: str
    expiration: DateTime


class ServerDefaultResultStorage(WireModel):
    """The block that keeps results where a flow names none."""

    default_result_storage_block_id: UUID | None = None


class ServerDefaultResultStorageUpdate(WireModel):
    default_result_storage_block_id: UUID
