"""``/deployments``: the runs of deployments: create them, plan them ahead, poll for them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Body, Request
from starlette.responses import Response

from sempre.schemas.base import DateTime, Span
from sempre.schemas.flow_runs import DeploymentFlowRunCreate, FlowRunResponse
from sempre.schemas.lists import DeploymentDueList
from sempre.schemas.responses import FlowRunBulkCreateResponse
from sempre.server import lists
from sempre.server.deployments import queries
from sempre.server.deployments.readiness import Readiness
from sempre.server.deployments.runs import MAX_RUNS_AT_ONCE, create_run, create_runs
from sempre.server.deployments.scheduling import Bounds, of_deployment, schedule_runs
from sempre.server.errors import BadRequest
from sempre.server.flow_runs import rows
from sempre.server.flow_runs.routes import AutomationId, AutomationName, automation_of
from sempre.server.responses import JSON
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep

__all__ = ["router"]

router = Room(prefix="/deployments", tags=["Deployments"])


@router.post("/get_scheduled_flow_runs", response_model=list[FlowRunResponse])
async def get_scheduled_flow_runs_for_deployments(
    scope: ScopeDep,
    request: Request,
    asked: DeploymentDueList,
) -> Response:
    """The scheduled runs of these deployments, the earliest first. Who asks is taken to run them."""
    found = await queries.scheduled_runs(
        scope.db,
        scope.workspace_id,
        asked.deployment_ids,
        before=asked.scheduled_before,
        limit=lists.bounded(scope, asked),
    )
    readiness: Readiness = request.app.state.runtime.readiness
    readiness.mark_deployments(scope.workspace_id, asked.deployment_ids)
    return JSON([rows.to_wire(row) for row in found])


@router.post("/{id:uuid}/schedule")
async def schedule_deployment(
    scope: ScopeDep,
    id: UUID,
    start_time: Annotated[DateTime | None, Body()] = None,
    end_time: Annotated[DateTime | None, Body()] = None,
    min_time: Annotated[Span | None, Body(description="Seconds; plan at least this far ahead")] = None,
    min_runs: Annotated[int | None, Body()] = None,
    max_runs: Annotated[int | None, Body()] = None,
) -> None:
    """Plan runs for the deployment's active schedules now, paused or not, also for the past. Counts are per schedule.

    An unknown deployment has no schedules.
    """
    settings = scope.settings.services.scheduler
    start = start_time or datetime.now(UTC)
    if min_time is None:
        min_time = timedelta(seconds=settings.min_scheduled_time_seconds)
    bounds = Bounds(
        min_runs=settings.min_runs if min_runs is None else min_runs,
        max_runs=settings.max_runs if max_runs is None else max_runs,
        min_time=min_time,
        max_time=timedelta(seconds=settings.max_scheduled_time_seconds) if end_time is None else end_time - start,
    )
    schedules = await of_deployment(scope.db, scope.workspace_id, id)
    await schedule_runs(scope, schedules, bounds, start=start, even_paused=True)


@router.post("/{id:uuid}/create_flow_run", response_model=FlowRunResponse)
async def create_flow_run_from_deployment(
    scope: ScopeDep,
    id: UUID,
    flow_run: DeploymentFlowRunCreate,
    prefect_automation_id: AutomationId = None,
    prefect_automation_name: AutomationName = None,
) -> Response:
    """Create a run of the deployment: 201, or 200 with the run that has the same idempotency key."""
    created_by = automation_of(prefect_automation_id, prefect_automation_name)
    run, new = await create_run(scope, id, flow_run, created_by)
    return JSON(run, 201 if new else 200)


@router.post("/{id:uuid}/create_flow_run/bulk", response_model=FlowRunBulkCreateResponse)
async def bulk_create_flow_runs_from_deployment(
    scope: ScopeDep,
    id: UUID,
    flow_runs: Annotated[list[DeploymentFlowRunCreate], Body()],
    prefect_automation_id: AutomationId = None,
    prefect_automation_name: AutomationName = None,
) -> Response:
    """Create up to a hundred runs of the deployment; each has its own result."""
    if len(flow_runs) > MAX_RUNS_AT_ONCE:
        raise BadRequest(f"Cannot create more than {MAX_RUNS_AT_ONCE} flow runs at once.")
    created_by = automation_of(prefect_automation_id, prefect_automation_name)
    return JSON({"results": await create_runs(scope, id, flow_runs, created_by)})
