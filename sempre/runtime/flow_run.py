"""The flow run that the caller is a part of."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sempre.sdk.engine.runtime_facts import executed_run, parent_run, root_run_id, run_url

__all__ = [
    "api_url",
    "flow_name",
    "flow_version",
    "id",
    "job_variables",
    "name",
    "parameters",
    "parent_deployment_id",
    "parent_flow_run_id",
    "root_flow_run_id",
    "run_count",
    "scheduled_start_time",
    "tags",
    "ui_url",
]

# For type checkers: the values come from `__getattr__`.
id: str | None
name: str | None
tags: list[str]
flow_name: str | None
flow_version: str | None
parameters: dict[str, Any]
run_count: int
scheduled_start_time: datetime | None
parent_flow_run_id: str | None
parent_deployment_id: str | None
root_flow_run_id: str | None
job_variables: dict[str, Any]
api_url: str | None
ui_url: str | None


def _of(attribute: str, default: Any = None) -> Callable[[], Any]:
    def value() -> Any:
        run = executed_run()
        found = default if run is None else getattr(run, attribute)
        return default if found is None else found

    return value


def _text(attribute: str) -> Callable[[], Any]:
    def value() -> str | None:
        run = executed_run()
        found = None if run is None else getattr(run, attribute)
        return None if found is None else str(found)

    return value


def _flow_name() -> str | None:
    from sempre.sdk.context import FlowRunContext, being_named

    named, context = being_named(), FlowRunContext.get()
    if named is not None:
        return named[0]
    return None if context is None else context.flow.name


def _parameters() -> dict[str, Any]:
    from sempre.sdk.context import FlowRunContext, being_named

    named, context = being_named(), FlowRunContext.get()
    if named is not None:
        return dict(named[1])
    return {} if context is None else dict(context.parameters)


def _scheduled() -> Any:
    run = executed_run()
    return None if run is None else run.expected_start_time or run.start_time


def _parent(attribute: str) -> Callable[[], str | None]:
    def value() -> str | None:
        run = parent_run()
        found = None if run is None else getattr(run, attribute)
        return None if found is None else str(found)

    return value


_FACTS: dict[str, Callable[[], Any]] = {
    "id": _text("id"),
    "name": _of("name"),
    "tags": _of("tags", []),
    "flow_name": _flow_name,
    "flow_version": _of("flow_version"),
    "parameters": _parameters,
    "run_count": _of("run_count", 0),
    "scheduled_start_time": _scheduled,
    "parent_flow_run_id": _parent("id"),
    "parent_deployment_id": _parent("deployment_id"),
    "root_flow_run_id": root_run_id,
    "job_variables": _of("job_variables", {}),
    "api_url": lambda: run_url("flow_run", "api"),
    "ui_url": lambda: run_url("flow_run", "ui"),
}


def __getattr__(name: str) -> Any:
    fact = _FACTS.get(name)
    if fact is None:
        raise AttributeError(f"module 'sempre.runtime.flow_run' has no attribute {name!r}")
    return fact()
