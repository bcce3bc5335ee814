"""Filters on flow runs."""

from uuid import UUID

from sempre.schemas.filters.common import (
    AnyIdOrNull,
    AnyOf,
    AnyOrNot,
    Combined,
    NameMatch,
    TagsAny,
    Window,
    WindowOrNull,
)
from sempre.schemas.states import StateType

__all__ = [
    "FlowRunFilter",
    "FlowRunFilterCreatedBy",
    "FlowRunFilterDeploymentId",
    "FlowRunFilterEndTime",
    "FlowRunFilterExpectedStartTime",
    "FlowRunFilterFlowVersion",
    "FlowRunFilterId",
    "FlowRunFilterIdempotencyKey",
    "FlowRunFilterName",
    "FlowRunFilterNextScheduledStartTime",
    "FlowRunFilterParentFlowRunId",
    "FlowRunFilterParentTaskRunId",
    "FlowRunFilterStartTime",
    "FlowRunFilterState",
    "FlowRunFilterStateName",
    "FlowRunFilterStateType",
    "FlowRunFilterTags",
    "FlowRunFilterWorkQueueName",
]


class FlowRunFilterId(AnyOrNot[UUID]):
    pass


class FlowRunFilterName(NameMatch):
    pass


class FlowRunFilterTags(TagsAny):
    pass


class FlowRunFilterDeploymentId(AnyIdOrNull):
    pass


class FlowRunFilterWorkQueueName(Combined):
    any_: list[str] | None = None
    is_null_: bool | None = None


class FlowRunFilterStateType(AnyOrNot[StateType]):
    pass


class FlowRunFilterStateName(AnyOrNot[str]):
    pass


class FlowRunFilterState(Combined):
    type: FlowRunFilterStateType | None = None
    name: FlowRunFilterStateName | None = None


class FlowRunFilterFlowVersion(AnyOf[str]):
    pass


class FlowRunFilterStartTime(WindowOrNull):
    """The window falls back to the expected start time; ``is_null_`` looks at the start time alone."""


class FlowRunFilterEndTime(WindowOrNull):
    pass


class FlowRunFilterExpectedStartTime(Window):
    pass


class FlowRunFilterNextScheduledStartTime(Window):
    pass


class FlowRunFilterParentFlowRunId(Combined):
    """Direct subflows of these flow runs."""

    any_: list[UUID] | None = None


class FlowRunFilterParentTaskRunId(AnyIdOrNull):
    pass


class FlowRunFilterIdempotencyKey(AnyOrNot[str]):
    pass


class FlowRunFilterCreatedBy(Combined):
    id_: list[UUID] | None = None
    type_: list[str] | None = None
    is_null_: bool | None = None


class FlowRunFilter(Combined):
    id: FlowRunFilterId | None = None
    name: FlowRunFilterName | None = None
    tags: FlowRunFilterTags | None = None
    deployment_id: FlowRunFilterDeploymentId | None = None
    work_queue_name: FlowRunFilterWorkQueueName | None = None
    state: FlowRunFilterState | None = None
    flow_version: FlowRunFilterFlowVersion | None = None
    start_time: FlowRunFilterStartTime | None = None
    end_time: FlowRunFilterEndTime | None = None
    expected_start_time: FlowRunFilterExpectedStartTime | None = None
    next_scheduled_start_time: FlowRunFilterNextScheduledStartTime | None = None
    parent_flow_run_id: FlowRunFilterParentFlowRunId | None = None
    parent_task_run_id: FlowRunFilterParentTaskRunId | None = None
    idempotency_key: FlowRunFilterIdempotencyKey | None = None
    created_by: FlowRunFilterCreatedBy | None = None
