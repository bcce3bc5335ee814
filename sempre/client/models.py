"""The wire models that calls answer with. Each is loaded when it is first asked for, and no other with it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sempre.schemas.artifacts import Artifact as Artifact
    from sempre.schemas.artifacts import ArtifactCollection as ArtifactCollection
    from sempre.schemas.automations import Automation as Automation
    from sempre.schemas.blocks import BlockDocument as BlockDocument
    from sempre.schemas.blocks import BlockSchema as BlockSchema
    from sempre.schemas.blocks import BlockType as BlockType
    from sempre.schemas.concurrency import ConcurrencyLimit as ConcurrencyLimit
    from sempre.schemas.concurrency import ConcurrencyLimitV2 as ConcurrencyLimitV2
    from sempre.schemas.concurrency import ConcurrencyLimitWithLeaseResponse as ConcurrencyLimitWithLeaseResponse
    from sempre.schemas.concurrency import GlobalConcurrencyLimitResponse as GlobalConcurrencyLimitResponse
    from sempre.schemas.concurrency import MinimalConcurrencyLimitResponse as MinimalConcurrencyLimitResponse
    from sempre.schemas.deployments import DeploymentResponse as DeploymentResponse
    from sempre.schemas.deployments import DeploymentSchedule as DeploymentSchedule
    from sempre.schemas.events import EventCount as EventCount
    from sempre.schemas.events import EventPage as EventPage
    from sempre.schemas.flow_runs import FlowRunInput as FlowRunInput
    from sempre.schemas.flow_runs import FlowRunResponse as FlowRunResponse
    from sempre.schemas.flows import Flow as Flow
    from sempre.schemas.logs import Log as Log
    from sempre.schemas.responses import DeploymentPaginationResponse as DeploymentPaginationResponse
    from sempre.schemas.responses import FlowPaginationResponse as FlowPaginationResponse
    from sempre.schemas.responses import FlowRunPaginationResponse as FlowRunPaginationResponse
    from sempre.schemas.responses import OrchestrationResult as OrchestrationResult
    from sempre.schemas.responses import ServerDefaultResultStorage as ServerDefaultResultStorage
    from sempre.schemas.responses import TaskRunPaginationResponse as TaskRunPaginationResponse
    from sempre.schemas.saved_searches import SavedSearch as SavedSearch
    from sempre.schemas.states import State as State
    from sempre.schemas.task_runs import TaskRun as TaskRun
    from sempre.schemas.variables import Variable as Variable
    from sempre.schemas.work_pools import WorkerFlowRunResponse as WorkerFlowRunResponse
    from sempre.schemas.work_pools import WorkerResponse as WorkerResponse
    from sempre.schemas.work_pools import WorkPoolConcurrencyStatus as WorkPoolConcurrencyStatus
    from sempre.schemas.work_pools import WorkPoolResponse as WorkPoolResponse
    from sempre.schemas.work_pools import WorkQueueConcurrencyStatus as WorkQueueConcurrencyStatus
    from sempre.schemas.work_pools import WorkQueueResponse as WorkQueueResponse
    from sempre.schemas.work_pools import WorkQueueStatusDetail as WorkQueueStatusDetail

_HOMES = {
    "Artifact": "sempre.schemas.artifacts",
    "ArtifactCollection": "sempre.schemas.artifacts",
    "Automation": "sempre.schemas.automations",
    "BlockDocument": "sempre.schemas.blocks",
    "BlockSchema": "sempre.schemas.blocks",
    "BlockType": "sempre.schemas.blocks",
    "ConcurrencyLimit": "sempre.schemas.concurrency",
    "ConcurrencyLimitV2": "sempre.schemas.concurrency",
    "ConcurrencyLimitWithLeaseResponse": "sempre.schemas.concurrency",
    "DeploymentPaginationResponse": "sempre.schemas.responses",
    "DeploymentResponse": "sempre.schemas.deployments",
    "DeploymentSchedule": "sempre.schemas.deployments",
    "EventCount": "sempre.schemas.events",
    "EventPage": "sempre.schemas.events",
    "Flow": "sempre.schemas.flows",
    "FlowPaginationResponse": "sempre.schemas.responses",
    "FlowRunInput": "sempre.schemas.flow_runs",
    "FlowRunPaginationResponse": "sempre.schemas.responses",
    "FlowRunResponse": "sempre.schemas.flow_runs",
    "GlobalConcurrencyLimitResponse": "sempre.schemas.concurrency",
    "Log": "sempre.schemas.logs",
    "MinimalConcurrencyLimitResponse": "sempre.schemas.concurrency",
    "OrchestrationResult": "sempre.schemas.responses",
    "SavedSearch": "sempre.schemas.saved_searches",
    "ServerDefaultResultStorage": "sempre.schemas.responses",
    "State": "sempre.schemas.states",
    "TaskRun": "sempre.schemas.task_runs",
    "TaskRunPaginationResponse": "sempre.schemas.responses",
    "Variable": "sempre.schemas.variables",
    "WorkPoolConcurrencyStatus": "sempre.schemas.work_pools",
    "WorkPoolResponse": "sempre.schemas.work_pools",
    "WorkQueueConcurrencyStatus": "sempre.schemas.work_pools",
    "WorkQueueResponse": "sempre.schemas.work_pools",
    "WorkQueueStatusDetail": "sempre.schemas.work_pools",
    "WorkerFlowRunResponse": "sempre.schemas.work_pools",
    "WorkerResponse": "sempre.schemas.work_pools",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(home), name)
    globals()[name] = found
    return found
