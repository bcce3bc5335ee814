"""The columns that follow from a persisted state, whichever policy let it pass (forced ones too)."""

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sempre.core.states import TERMINAL, State, StateType
from sempre.core.transitions.model import FlowRun, FlowRunPolicy, TaskRun, TaskRunWrite

__all__ = ["flow_run_after", "mirror_of", "mirror_write", "task_run_after"]


class _Times(NamedTuple):
    start: datetime | None
    end: datetime | None
    expected: datetime | None
    next_scheduled: datetime | None
    total_run_time: float


def _times(run: FlowRun | TaskRun, new: State) -> _Times:
    old = run.state
    type = new.type
    stamp = new.timestamp
    final = type in TERMINAL
    start, end, expected, total = run.start_time, run.end_time, run.expected_start_time, run.total_run_time
    if start is None and (final or type is StateType.RUNNING):
        start = stamp
    if not final:
        # A final state always has an end, so outside of one there is none to keep.
        end = None
    elif end is None:
        end = stamp
    if old is not None and old.type is StateType.RUNNING:
        total += (stamp - old.timestamp).total_seconds()
    scheduled = new.details.scheduled_time if type is StateType.SCHEDULED else None
    if expected is None:
        expected = scheduled or stamp
    return _Times(start, end, expected, scheduled, total)


def flow_run_after(run: FlowRun, new: State, policy: FlowRunPolicy) -> FlowRun:
    """The flow run once ``new`` is its state.

    ``policy`` is the run's policy as the rules left it. A run that is resuming does not count the RUNNING it
    resumes into; RUNNING and final states end the resuming.
    """
    times = _times(run, new)
    run_count = run.run_count
    if new.type is StateType.RUNNING and not policy.resuming:
        run_count += 1
    if policy.resuming and (new.type is StateType.RUNNING or new.type in TERMINAL):
        policy = replace(policy, resuming=False)
    return FlowRun(
        id=run.id,
        state=new,
        policy=policy,
        deployment_id=run.deployment_id,
        parent_task_run_id=run.parent_task_run_id,
        infrastructure_pid=run.infrastructure_pid,
        run_count=run_count,
        start_time=times.start,
        end_time=times.end,
        expected_start_time=times.expected,
        next_scheduled_start_time=times.next_scheduled,
        total_run_time=times.total_run_time,
    )


def task_run_after(run: TaskRun, new: State, *, run_count: int, flow_run_run_count: int) -> TaskRun:
    """The task run once ``new`` is its state; ``run_count`` is the count before this state."""
    times = _times(run, new)
    return TaskRun(
        id=run.id,
        state=new,
        policy=run.policy,
        flow_run_id=run.flow_run_id,
        task_key=run.task_key,
        tags=run.tags,
        run_count=run_count + 1 if new.type is StateType.RUNNING else run_count,
        flow_run_run_count=flow_run_run_count,
        start_time=times.start,
        end_time=times.end,
        expected_start_time=times.expected,
        next_scheduled_start_time=times.next_scheduled,
        total_run_time=times.total_run_time,
    )


def mirror_of(run: FlowRun, new: State, mirror_id: UUID) -> State | None:
    """What a subflow's parent task run has to show: the subflow's state under an id of its own.

    ``details.flow_run_id`` is left to :func:`mirror_write`, which knows the parent's flow run.
    """
    parent = run.parent_task_run_id
    if parent is None:
        return None
    details = replace(new.details, child_flow_run_id=run.id, task_run_id=parent, flow_run_id=None)
    return replace(new, id=mirror_id, details=details)


def mirror_write(parent: TaskRun, mirror: State) -> TaskRunWrite:
    """Force a subflow's mirrored state onto its parent task run: never refused, only dated after its last state."""
    timestamp = mirror.timestamp
    if parent.state is not None and timestamp <= parent.state.timestamp:
        timestamp = parent.state.timestamp + timestamp.resolution
    details = replace(mirror.details, flow_run_id=parent.flow_run_id, task_run_id=parent.id)
    state = replace(mirror, timestamp=timestamp, details=details)
    run = task_run_after(parent, state, run_count=parent.run_count, flow_run_run_count=parent.flow_run_run_count)
    release = state.type is not StateType.RUNNING and state.type is not StateType.CANCELLING
    return TaskRunWrite(state=state, run=run, release=release)
