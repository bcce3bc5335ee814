"""Runs of deployments, started from code."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sempre.client import get_client
from sempre.sdk.api import to_jsonable
from sempre.sdk.context import FlowRunContext, current_tags
from sempre.sdk.dual import dual
from sempre.sdk.engine.requests import NewTrackingRun, TrackChild
from sempre.sdk.engine.world import current_world
from sempre.sdk.inputs import resolve, task_inputs
from sempre.sdk.runs import FlowRun
from sempre.sdk.waiting import end_of

__all__ = ["arun_deployment", "run_deployment"]


async def arun_deployment(
    name: str | UUID,
    parameters: Mapping[str, Any] | None = None,
    scheduled_time: datetime | None = None,
    flow_run_name: str | None = None,
    timeout: float | None = None,
    poll_interval: float = 5,
    tags: Iterable[str] | None = None,
    idempotency_key: str | None = None,
    work_queue_name: str | None = None,
    as_subflow: bool = True,
    job_variables: Mapping[str, Any] | None = None,
) -> FlowRun:
    """Have a deployment (`flow/deployment`, or its id) run by whoever serves it; returns the run once it has ended.

    ``timeout``: return after so many seconds in any case, at once for 0. Inside of a flow the run is shown as its
    subflow unless not ``as_subflow``; a rerun of the flow finds the same run again. Parameters may contain futures.
    Raises ObjectNotFound if there is no such deployment.
    """
    client = get_client()
    is_id = isinstance(name, UUID) or _is_uuid(name)
    deployment = await (client.read_deployment(name) if is_id else client.read_deployment_by_name(str(name)))
    given = dict(parameters or {})
    flow = FlowRunContext.get()
    parent: UUID | None = None
    if as_subflow and flow is not None:
        key = f"{deployment.name}-{deployment.id}"
        number = flow.next_call(key)
        inputs = task_inputs(given, None, flow.lineage.origin)
        new = NewTrackingRun(f"{name}-{number}", flow.flow_run.id, key, str(number), inputs)
        parent = await current_world().aask(TrackChild(new))
        idempotency_key = idempotency_key or f"{parent}"
    run = await client.create_flow_run_from_deployment(
        deployment.id,
        parameters=to_jsonable(await asyncio.to_thread(resolve, given)),
        name=flow_run_name,
        tags=sorted({*(tags or ()), *current_tags()}),
        idempotency_key=idempotency_key,
        parent_task_run_id=parent,
        work_queue_name=work_queue_name,
        job_variables=job_variables,
        state=None
        if scheduled_time is None
        else {"type": "SCHEDULED", "state_details": {"scheduled_time": scheduled_time.isoformat()}},
    )
    return await end_of(run.id, timeout, poll_interval)


run_deployment = dual(arun_deployment)


def _is_uuid(text: object) -> bool:
    try:
        UUID(str(text))
    except ValueError:
        return False
    return True
