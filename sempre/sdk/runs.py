"""Runs as the engine and users' hooks see them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sempre.core.states import StateDetails, StateType
from sempre.sdk.ids import new_id, now
from sempre.sdk.states import NO_DETAILS, State

__all__ = ["FlowRun", "TaskRun"]

_TICK = timedelta(microseconds=1)


@dataclass(slots=True)
class FlowRun:
    """A flow run as the server knew it when it was read last; durations in seconds."""

    id: UUID
    name: str
    flow_id: UUID
    state: State[Any] | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    labels: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    empirical_policy: dict[str, Any] = field(default_factory=dict)
    run_count: int = 0
    flow_version: str | None = None
    parent_task_run_id: UUID | None = None
    deployment_id: UUID | None = None
    deployment_version: str | None = None
    deployment_name: str | None = None
    """Where it is known: the server says it of the deployment."""
    idempotency_key: str | None = None
    work_queue_id: UUID | None = None
    work_queue_name: str | None = None
    work_pool_id: UUID | None = None
    work_pool_name: str | None = None
    job_variables: dict[str, Any] | None = None
    infrastructure_pid: str | None = None
    auto_scheduled: bool = False
    created: datetime | None = None
    expected_start_time: datetime | None = None
    next_scheduled_start_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    total_run_time: timedelta | float = 0.0

    @property
    def state_type(self) -> StateType | None:
        return None if self.state is None else self.state.type

    @property
    def state_name(self) -> str | None:
        return None if self.state is None else self.state.name


@dataclass(slots=True)
class TaskRun:
    """A task run. The engine keeps it itself; the server learns of it from events."""

    name: str
    task_key: str
    dynamic_key: str = field(default_factory=lambda: os.urandom(16).hex())
    id: UUID = field(default_factory=new_id)
    flow_run_id: UUID | None = None
    state: State[Any] | None = None
    tags: list[str] = field(default_factory=list)
    labels: dict[str, Any] = field(default_factory=dict)
    task_inputs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    empirical_policy: dict[str, Any] = field(default_factory=dict)
    task_version: str | None = None
    cache_key: str | None = None
    run_count: int = 0
    flow_run_run_count: int = 0
    expected_start_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    total_run_time: float = 0.0
    own_details: StateDetails = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.own_details = StateDetails(task_run_id=self.id, flow_run_id=self.flow_run_id)

    @property
    def state_type(self) -> StateType | None:
        return None if self.state is None else self.state.type

    @property
    def state_name(self) -> str | None:
        return None if self.state is None else self.state.name

    def enter(self, state: State[Any], flow_run_count: int = 0) -> State[Any] | None:
        """Take on a state with all that follows from it; returns the one before.

        The state gets a time that is later than that of the one before, since a run has one state at a time.
        """
        before = self.state
        details = state.state_details
        if details is NO_DETAILS:
            state.state_details = self.own_details
        else:
            state.state_details = replace(details, task_run_id=self.id, flow_run_id=self.flow_run_id)
        if before is not None and state.timestamp <= before.timestamp:
            state.timestamp = before.timestamp + _TICK
        at = state.timestamp
        if before is not None and before.type is StateType.RUNNING:
            self.total_run_time = round(self.total_run_time + (at - before.timestamp).total_seconds(), 6)
        if state.type is StateType.RUNNING:
            self.run_count += 1
            self.flow_run_run_count = flow_run_count
            self.start_time = self.start_time or at
        if self.expected_start_time is None:
            self.expected_start_time = state.state_details.scheduled_time or at
        if not state.is_final():
            self.end_time = None
        elif self.end_time is None:
            self.end_time = at
            self.start_time = self.start_time or at
        self.state = state
        return before

    def seconds_until_due(self) -> float:
        due = None if self.state is None else self.state.state_details.scheduled_time
        return 0.0 if due is None else max(0.0, (due - now()).total_seconds())
