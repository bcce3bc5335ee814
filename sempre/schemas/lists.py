"""What list calls ask for: filters, an order, and how much of the list.

One model per shape of body, made of the parts that calls share. Every key may be absent or null unless it has no
default, keys that a model does not know are ignored, and the whole body may be absent if nothing in it is required.
"""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from sempre.schemas.base import DateTime, Span, WireModel
from sempre.schemas.events import TimeUnit
from sempre.schemas.filters.artifacts import ArtifactCollectionFilter, ArtifactFilter
from sempre.schemas.filters.automations import AutomationFilter
from sempre.schemas.filters.blocks import BlockDocumentFilter, BlockSchemaFilter, BlockTypeFilter
from sempre.schemas.filters.deployments import DeploymentFilter
from sempre.schemas.filters.events import EventFilter
from sempre.schemas.filters.flow_runs import FlowRunFilter
from sempre.schemas.filters.flows import FlowFilter
from sempre.schemas.filters.logs import LogFilter
from sempre.schemas.filters.task_runs import TaskRunFilter
from sempre.schemas.filters.variables import VariableFilter
from sempre.schemas.filters.work_pools import WorkerFilter, WorkPoolFilter, WorkQueueFilter
from sempre.schemas.sorting import (
    ArtifactCollectionSort,
    ArtifactSort,
    AutomationSort,
    BlockDocumentSort,
    DeploymentSort,
    FlowRunSort,
    FlowSort,
    LogSort,
    TaskRunSort,
    VariableSort,
)
from sempre.schemas.states import StateCreate
from sempre.schemas.task_runs import TaskWorkerFilter

__all__ = [
    "ArtifactCollectionFilters",
    "ArtifactCollectionList",
    "ArtifactFilters",
    "ArtifactList",
    "AutomationFilters",
    "AutomationList",
    "BlockDocumentFilters",
    "BlockDocumentList",
    "BlockSchemaFilters",
    "BlockSchemaList",
    "BlockTypeFilters",
    "BlockTypeList",
    "BulkSelection",
    "Dashboard",
    "DeploymentBulk",
    "DeploymentDueList",
    "DeploymentList",
    "DeploymentPage",
    "DueList",
    "EventCounts",
    "EventList",
    "FlowBulk",
    "FlowList",
    "FlowPage",
    "FlowRunBulk",
    "FlowRunBulkState",
    "FlowRunDots",
    "FlowRunHistory",
    "FlowRunList",
    "FlowRunPage",
    "InputList",
    "Intervals",
    "Limited",
    "ListCall",
    "LogList",
    "NumberedPage",
    "PoolConcurrencyPage",
    "PoolDueList",
    "PoolFilters",
    "QueueFilters",
    "RunFilters",
    "Slice",
    "TaskRunHistory",
    "TaskRunList",
    "TaskRunPage",
    "TaskWorkerList",
    "VariableFilters",
    "VariableList",
    "WorkPoolFilters",
    "WorkPoolList",
    "WorkQueueFilters",
    "WorkQueueList",
    "WorkerFilters",
    "WorkerList",
]

MAX_BULK = 50
MAX_DOTS = 1000
MAX_RUNS_PER_QUEUE = 200
EVENTS_PER_PAGE = 50
# Larger than the protocol's own 50: its Python client asks for 100 unless told otherwise.
MAX_EVENTS_PER_PAGE = 200


class ListCall(WireModel):
    """The body of a list call, a key per parameter."""


# --- how much of a list --------------------------------------------------------------------------------


class Limited(ListCall):
    limit: int | None = Field(default=None, description="Page size; null or absent: the server's default")


class Slice(Limited):
    offset: int = Field(default=0, ge=0)


class NumberedPage(Limited):
    page: int = Field(default=1, ge=1)


class BulkSelection(ListCall):
    """The first so many of what matches, by the list's default order."""

    limit: int = Field(default=MAX_BULK, ge=1, le=MAX_BULK)


class Intervals(ListCall):
    """Equal intervals that cover a span of time."""

    history_start: DateTime
    history_end: DateTime
    history_interval_seconds: Span = Field(description="Seconds; at least 1")


# --- which objects -------------------------------------------------------------------------------------


# The same filter has two names, depending on the call.
WorkQueues = Annotated[WorkQueueFilter | None, Field(alias="work_queues")]


class RunFilters(ListCall):
    """Filters on runs and what they belong to. A key that is there, be it ``{}``, demands a related object."""

    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    deployments: DeploymentFilter | None = None


class PoolFilters(RunFilters):
    work_pools: WorkPoolFilter | None = None


class QueueFilters(PoolFilters):
    work_pool_queues: WorkQueueFilter | None = None


class ArtifactFilters(RunFilters):
    artifacts: ArtifactFilter | None = None


class ArtifactCollectionFilters(RunFilters):
    artifacts: ArtifactCollectionFilter | None = None


class AutomationFilters(ListCall):
    automations: AutomationFilter | None = None


class BlockSchemaFilters(ListCall):
    block_schemas: BlockSchemaFilter | None = None


class BlockTypeFilters(BlockSchemaFilters):
    block_types: BlockTypeFilter | None = None


class BlockDocumentFilters(BlockTypeFilters):
    # Its own default hides anonymous documents.
    block_documents: BlockDocumentFilter | None = Field(default_factory=BlockDocumentFilter)


class VariableFilters(ListCall):
    variables: VariableFilter | None = None


class WorkPoolFilters(ListCall):
    work_pools: WorkPoolFilter | None = None


class WorkQueueFilters(ListCall):
    work_pool_queues: WorkQueues = None


class WorkerFilters(ListCall):
    workers: WorkerFilter | None = None


# --- flows, runs, deployments --------------------------------------------------------------------------


class FlowList(PoolFilters, Slice):
    sort: FlowSort = FlowSort.NAME_ASC


class FlowPage(PoolFilters, NumberedPage):
    sort: FlowSort = FlowSort.NAME_ASC


class FlowBulk(BulkSelection):
    flows: FlowFilter | None = None


class FlowRunList(QueueFilters, Slice):
    sort: FlowRunSort = FlowRunSort.ID_DESC


class FlowRunPage(QueueFilters, NumberedPage):
    sort: FlowRunSort = FlowRunSort.ID_DESC


class FlowRunHistory(QueueFilters, Intervals):
    work_pool_queues: WorkQueues = None


class FlowRunDots(PoolFilters):
    """Runs as dots over time."""

    limit: int = Field(default=MAX_DOTS, ge=0, le=MAX_DOTS)
    offset: int = Field(default=0, ge=0)
    sort: FlowRunSort = FlowRunSort.EXPECTED_START_TIME_DESC


class FlowRunBulk(BulkSelection):
    flow_runs: FlowRunFilter | None = None


class FlowRunBulkState(FlowRunBulk):
    state: StateCreate
    force: bool = False


class TaskRunList(RunFilters, Slice):
    sort: TaskRunSort = TaskRunSort.ID_DESC


class TaskRunPage(RunFilters, NumberedPage):
    sort: TaskRunSort = TaskRunSort.ID_DESC


class TaskRunHistory(RunFilters, Intervals):
    pass


class Dashboard(QueueFilters):
    task_runs: TaskRunFilter
    work_pool_queues: WorkQueues = None


class DeploymentList(QueueFilters, Slice):
    sort: DeploymentSort = DeploymentSort.NAME_ASC


class DeploymentPage(QueueFilters, NumberedPage):
    sort: DeploymentSort = DeploymentSort.NAME_ASC


class DeploymentBulk(BulkSelection):
    deployments: DeploymentFilter | None = None


# --- runs that are due ---------------------------------------------------------------------------------


class DueList(Limited):
    scheduled_before: DateTime | None = None


class DeploymentDueList(DueList):
    deployment_ids: list[UUID]


class PoolDueList(DueList):
    """``work_queue_names``: of these queues only; absent or empty: of all."""

    work_queue_names: list[str] | None = None
    scheduled_after: DateTime | None = None


# --- the other resources -------------------------------------------------------------------------------


class ArtifactList(ArtifactFilters, Slice):
    sort: ArtifactSort = ArtifactSort.ID_DESC


class ArtifactCollectionList(ArtifactCollectionFilters, Slice):
    sort: ArtifactCollectionSort = ArtifactCollectionSort.ID_DESC


class AutomationList(AutomationFilters, Slice):
    sort: AutomationSort = AutomationSort.NAME_ASC


class BlockTypeList(BlockTypeFilters, Slice):
    pass


class BlockSchemaList(BlockSchemaFilters, Slice):
    pass


class BlockDocumentList(BlockDocumentFilters, Slice):
    include_secrets: bool = Field(default=False, description="Whether secrets come in clear")
    sort: BlockDocumentSort = BlockDocumentSort.NAME_ASC


class VariableList(VariableFilters, Slice):
    sort: VariableSort = VariableSort.NAME_ASC


class WorkPoolList(WorkPoolFilters, Slice):
    pass


class WorkQueueList(WorkQueueFilters, Slice):
    pass


class WorkerList(WorkerFilters, Slice):
    pass


class PoolConcurrencyPage(NumberedPage):
    """One page of queues."""

    flow_run_limit: int = Field(default=10, ge=0, le=MAX_RUNS_PER_QUEUE, description="Runs of each queue")


class InputList(ListCall):
    prefix: str
    limit: int = 1
    exclude_keys: list[str] = Field(default=[])


class TaskWorkerList(ListCall):
    task_worker_filter: TaskWorkerFilter | None = None


class LogList(Slice):
    logs: LogFilter | None = None
    sort: LogSort = LogSort.TIMESTAMP_ASC


class EventList(ListCall):
    filter: EventFilter = Field(default_factory=EventFilter)
    limit: int = Field(default=EVENTS_PER_PAGE, ge=0, le=MAX_EVENTS_PER_PAGE)


class EventCounts(ListCall):
    filter: EventFilter
    time_unit: TimeUnit = TimeUnit.day
    time_interval: float = Field(default=1.0, ge=0.01)
