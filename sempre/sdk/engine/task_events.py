"""What the server is told of a task run: one event for each state, made from plain values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sempre.sdk.results.record import ResultRecord
from sempre.sdk.runs import TaskRun
from sempre.sdk.states import State

__all__ = ["iso", "task_run_event"]


def task_run_event(run: TaskRun, before: State[Any] | None, related: list[dict[str, str]]) -> dict[str, Any]:
    """`prefect.task-run.<name>` for the state that the run is in, as a client that keeps task runs itself sends it.

    The event has the id and time of the state, and follows the one of the state before.
    """
    state = run.state
    if state is None:
        raise ValueError("a task run without a state has nothing to tell")
    stamp = state.timestamp.isoformat()
    at = stamp.replace("+00:00", "Z")
    details = _details(run, state)
    return {
        "occurred": at,
        "event": f"prefect.task-run.{state.name}",
        "resource": {
            "prefect.resource.id": f"prefect.task-run.{run.id}",
            "prefect.resource.name": run.name,
            "prefect.run-count": str(run.run_count),
            "prefect.state-message": state.message or "",
            "prefect.state-name": state.name,
            "prefect.state-timestamp": stamp,
            "prefect.state-type": state.type.value,
            "prefect.orchestration": "client",
        },
        "related": related,
        "payload": {
            "intended": {"from": None if before is None else before.type.value, "to": state.type.value},
            "initial_state": None if before is None else _state(before, _details(run, before)),
            "validated_state": {**_state(state, details), "data": _data(state)},
            "task_run": _task_run(run, state.timestamp, at),
        },
        "id": str(state.id),
        "follows": None if before is None else str(before.id),
    }


def iso(at: datetime) -> str:
    """A time in UTC as text."""
    return at.isoformat().replace("+00:00", "Z")


def _state(state: State[Any], details: dict[str, Any]) -> dict[str, Any]:
    return {"type": state.type.value, "name": state.name, "message": state.message or "", "state_details": details}


def _details(run: TaskRun, state: State[Any]) -> dict[str, Any]:
    """Without the ids of the runs: these are told once for the whole event."""
    if state.state_details is run.own_details:
        return {}
    details = state.state_details.to_json()
    details.pop("task_run_id", None)
    details.pop("flow_run_id", None)
    return details


def _data(state: State[Any]) -> dict[str, Any] | None:
    data = state.data
    if isinstance(data, ResultRecord):
        return None if data.metadata is None else data.metadata.to_json()
    return data if isinstance(data, dict) and "storage_key" in data else None


def _task_run(run: TaskRun, last: datetime, last_text: str) -> dict[str, Any]:
    out = {
        "name": run.name,
        "task_key": run.task_key,
        "dynamic_key": run.dynamic_key,
        "empirical_policy": run.empirical_policy,
        "tags": run.tags,
        "labels": run.labels,
        "task_inputs": run.task_inputs,
        "run_count": run.run_count,
        "flow_run_run_count": run.flow_run_run_count,
        "total_run_time": run.total_run_time,
    }
    for name in ("expected_start_time", "start_time", "end_time"):
        at = getattr(run, name)
        if at is not None:
            out[name] = last_text if at is last else iso(at)
    for name in ("task_version", "cache_key"):
        if getattr(run, name) is not None:
            out[name] = getattr(run, name)
    return out
