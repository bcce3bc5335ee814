"""Task runs, their retry policy and what they were called with."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from sempre.core.transitions.model import TaskRunPolicy as CorePolicy
from sempre.schemas import limits
from sempre.schemas.base import (
    DEPRECATED,
    ActionModel,
    DateTime,
    Labels,
    Record,
    RunName,
    Seconds,
    WireModel,
)
from sempre.schemas.slugs import random_slug
from sempre.schemas.states import State, StateCreate, StateType

__all__ = [
    "Constant",
    "FlowRunResult",
    "Parameter",
    "TaskInput",
    "TaskRun",
    "TaskRunCreate",
    "TaskRunPolicy",
    "TaskRunResponse",
    "TaskRunResult",
    "TaskRunUpdate",
    "TaskWorkerFilter",
    "TaskWorkerResponse",
    "UITaskRun",
]


class TaskRunResult(WireModel):
    """An input that is the result of a task run."""

    input_type: Literal["task_run"] = "task_run"
    id: UUID


class FlowRunResult(WireModel):
    """An input that is the result of a flow run."""

    input_type: Literal["flow_run"] = "flow_run"
    id: UUID


class Parameter(WireModel):
    """An input that is a parameter of the flow."""

    input_type: Literal["parameter"] = "parameter"
    name: str


class Constant(WireModel):
    """An input given in code; ``type`` names its Python type."""

    input_type: Literal["constant"] = "constant"
    type: str


TaskInput = TaskRunResult | FlowRunResult | Parameter | Constant


def _check_delays(value: object) -> object:
    if isinstance(value, list) and len(value) > limits.current().retry_delays:
        raise ValueError(f"Can not configure more than {limits.current().retry_delays} retry delays per task.")
    return value


def _check_jitter(value: float) -> float:
    if value < 0:
        raise ValueError("`retry_jitter_factor` must be >= 0.")
    return value


RetryDelay = Annotated[int | FiniteFloat | list[int] | list[FiniteFloat] | None, AfterValidator(_check_delays)]


class TaskRunPolicy(WireModel):
    """Retries of a task run. Delays are seconds: one for all retries, or one for each (the last one repeats).

    ``max_retries`` and ``retry_delay_seconds`` are the old spelling: they fill the new fields where those say
    nothing.
    """

    max_retries: int = Field(default=0, json_schema_extra=DEPRECATED)
    retry_delay_seconds: FiniteFloat = Field(default=0.0, json_schema_extra=DEPRECATED)
    retries: int | None = None
    retry_delay: RetryDelay = None
    retry_jitter_factor: Annotated[FiniteFloat, AfterValidator(_check_jitter)] | None = None

    @model_validator(mode="after")
    def _fill_from_old_spelling(self) -> "TaskRunPolicy":
        if self.max_retries and not self.retries:
            self.retries = self.max_retries
        if self.retry_delay_seconds and not self.retry_delay:
            self.retry_delay = self.retry_delay_seconds
        return self

    def to_core(self) -> CorePolicy:
        delay = self.retry_delay
        return CorePolicy(
            max_retries=self.max_retries,
            retry_delay_seconds=self.retry_delay_seconds,
            retries=self.retries,
            retry_delay=tuple(delay) if isinstance(delay, list) else delay,
            retry_jitter_factor=self.retry_jitter_factor,
        )


def _check_cache_key(value: str) -> str:
    bound = limits.current().cache_key
    if len(value) > bound:
        raise ValueError(f"Cache key exceeded maximum allowed length of {bound} characters.")
    return value


class TaskRunCreate(ActionModel):
    """Get or create a task run; ``(flow_run_id, task_key, dynamic_key)`` is its identity."""

    id: UUID | None = None
    state: StateCreate | None = None
    name: RunName = Field(default_factory=random_slug)
    flow_run_id: UUID | None = None
    task_key: str
    dynamic_key: str
    cache_key: Annotated[str, AfterValidator(_check_cache_key)] | None = None
    cache_expiration: DateTime | None = None
    task_version: str | None = None
    empirical_policy: TaskRunPolicy = Field(default_factory=TaskRunPolicy)
    tags: list[str] = Field(default_factory=list)
    labels: Labels | None = Field(default_factory=dict)
    task_inputs: dict[str, list[TaskInput]] = Field(default_factory=dict)


class TaskRunUpdate(ActionModel):
    name: RunName = Field(default_factory=random_slug)


class TaskRun(Record):
    name: str = Field(default_factory=random_slug)
    flow_run_id: UUID | None = None
    task_key: str
    dynamic_key: str
    cache_key: str | None = None
    cache_expiration: DateTime | None = None
    task_version: str | None = None
    empirical_policy: TaskRunPolicy = Field(default_factory=TaskRunPolicy)
    tags: list[str] = Field(default_factory=list)
    labels: Labels | None = Field(default_factory=dict)
    state_id: UUID | None = None
    task_inputs: dict[str, list[TaskInput]] = Field(default_factory=dict)
    state_type: StateType | None = None
    state_name: str | None = None
    run_count: int = 0
    flow_run_run_count: int = 0
    expected_start_time: DateTime | None = None
    next_scheduled_start_time: DateTime | None = None
    start_time: DateTime | None = None
    end_time: DateTime | None = None
    total_run_time: Seconds = 0.0
    estimated_run_time: Seconds = 0.0
    estimated_start_time_delta: Seconds = 0.0
    state: State | None = None


class UITaskRun(TaskRun):
    """A task run with the name of its flow run."""

    flow_run_name: str | None = None


class TaskRunResponse(Record):
    """A task run as pages of task runs show it."""

    name: str = Field(default_factory=random_slug)
    flow_run_id: UUID | None = None
    task_key: str
    task_version: str | None = None
    empirical_policy: TaskRunPolicy = Field(default_factory=TaskRunPolicy)
    tags: list[str] = Field(default_factory=list)
    state_id: UUID | None = None
    task_inputs: dict[str, list[TaskInput]] = Field(default_factory=dict)
    start_time: DateTime | None = None
    end_time: DateTime | None = None
    total_run_time: Seconds = 0.0
    estimated_run_time: Seconds = 0.0
    estimated_start_time_delta: Seconds = 0.0
    state: State | None = None


class TaskWorkerFilter(WireModel):
    task_keys: list[str]


class TaskWorkerResponse(WireModel):
    """A connected task worker and when it was last seen."""

    identifier: str
    task_keys: list[str]
    timestamp: DateTime
