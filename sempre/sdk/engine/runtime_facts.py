"""What `sempre.runtime` tells, found in contexts, the environment and, where nothing else knows it, the API."""

from __future__ import annotations

import os
from functools import lru_cache
from uuid import UUID

from sempre.sdk.context import FlowRunContext, TaskRunContext
from sempre.sdk.runs import FlowRun
from sempre.settings import get_current_settings

__all__ = ["deployment_name", "executed_run", "parent_run", "root_run_id", "run_url"]


def executed_run() -> FlowRun | None:
    """The flow run around the caller; before its code begins, the one that this process was started for."""
    context = FlowRunContext.get()
    if context is not None:
        return context.flow_run
    given = os.environ.get("SEMPRE__FLOW_RUN_ID") or os.environ.get("PREFECT__FLOW_RUN_ID")
    return _read(UUID(given)) if given else None


def parent_run() -> FlowRun | None:
    """The flow run that started this one, if one did."""
    context = FlowRunContext.get()
    if context is not None and context.parent is not None:
        return context.parent.flow_run
    run = executed_run()
    if run is None or run.parent_task_run_id is None:
        return None
    return _run_of_task(run.parent_task_run_id)


def root_run_id() -> str | None:
    """The first run of the chain of runs that started each other."""
    context = FlowRunContext.get()
    while context is not None and context.parent is not None:
        context = context.parent
    run = context.flow_run if context is not None else executed_run()
    while run is not None and run.parent_task_run_id is not None:
        outer = _run_of_task(run.parent_task_run_id)
        if outer is None:
            break
        run = outer
    return None if run is None else str(run.id)


def run_url(kind: str, where: str) -> str | None:
    """Address of the run around the caller, in the API or the UI; None where either is unknown."""
    if kind == "task_run":
        task = TaskRunContext.get()
        id = None if task is None else task.task_run.id
    else:
        run = executed_run()
        id = None if run is None else run.id
    settings = get_current_settings()
    api = settings.api.url
    if id is None or api is None:
        return None
    if where == "api":
        return f"{api}/{kind}s/{id}"
    base = settings.ui_url or api.removesuffix("/api")
    return f"{base}/runs/{kind.replace('_', '-')}/{id}"


@lru_cache(maxsize=64)
def deployment_name(id: UUID) -> str | None:
    """Raises the client's errors."""
    from sempre.client import get_client

    return get_client(sync_client=True).read_deployment(id).name


@lru_cache(maxsize=64)
def _read(id: UUID) -> FlowRun:
    from sempre.sdk.engine.requests import ReadFlowRun
    from sempre.sdk.engine.world import current_world

    run: FlowRun = current_world().ask(ReadFlowRun(id))
    return run


@lru_cache(maxsize=64)
def _run_of_task(task_run_id: UUID) -> FlowRun | None:
    from sempre.client import get_client

    task_run = get_client(sync_client=True).read_task_run(task_run_id)
    return None if task_run.flow_run_id is None else _read(task_run.flow_run_id)
