"""Filters on task runs."""

from uuid import UUID

from sempre.schemas.base import FilterModel
from sempre.schemas.filters.common import AnyOf, Combined, NameMatch, TagsAll, Window, WindowOrNull
from sempre.schemas.states import StateType

__all__ = [
    "TaskRunFilter",
    "TaskRunFilterEndTime",
    "TaskRunFilterExpectedStartTime",
    "TaskRunFilterFlowRunId",
    "TaskRunFilterId",
    "TaskRunFilterName",
    "TaskRunFilterStartTime",
    "TaskRunFilterState",
    "TaskRunFilterStateName",
    "TaskRunFilterStateType",
    "TaskRunFilterSubFlowRuns",
    "TaskRunFilterTags",
]


class TaskRunFilterId(AnyOf[UUID]):
    pass


class TaskRunFilterName(NameMatch):
    pass


class TaskRunFilterTags(TagsAll):
    pass


class TaskRunFilterFlowRunId(Combined):
    """Without ``any_``: ``is_null_`` false (the default!) = has a flow run, true = has none, null = either."""

    any_: list[UUID] | None = None
    is_null_: bool | None = False


class TaskRunFilterStateType(AnyOf[StateType]):
    pass


class TaskRunFilterStateName(AnyOf[str]):
    pass


class TaskRunFilterState(Combined):
    type: TaskRunFilterStateType | None = None
    name: TaskRunFilterStateName | None = None


class TaskRunFilterStartTime(WindowOrNull):
    pass


class TaskRunFilterEndTime(WindowOrNull):
    pass


class TaskRunFilterExpectedStartTime(Window):
    pass


class TaskRunFilterSubFlowRuns(FilterModel):
    """Whether the task run stands for a subflow run."""

    exists_: bool | None = None


class TaskRunFilter(Combined):
    id: TaskRunFilterId | None = None
    name: TaskRunFilterName | None = None
    tags: TaskRunFilterTags | None = None
    state: TaskRunFilterState | None = None
    start_time: TaskRunFilterStartTime | None = None
    end_time: TaskRunFilterEndTime | None = None
    expected_start_time: TaskRunFilterExpectedStartTime | None = None
    subflow_runs: TaskRunFilterSubFlowRuns | None = None
    flow_run_id: TaskRunFilterFlowRunId | None = None
