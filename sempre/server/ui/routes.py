"""``/ui``: what the pages of a UI need in one call each."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Body
from starlette.responses import Response

from sempre.core.hydration import hydrate_keeping_problems
from sempre.core.parameters import InvalidSchema, validation_errors
from sempre.core.states import StateType
from sempre.schemas.lists import Dashboard, FlowRunDots, RunFilters
from sempre.schemas.responses import (
    CountByState,
    SchemaValuesValidationResponse,
    SimpleFlowRun,
    SimpleNextFlowRun,
    TaskRunCount,
)
from sempre.schemas.task_runs import UITaskRun
from sempre.server.errors import NotFound, Unprocessable
from sempre.server.estimates import estimates
from sempre.server.lists import Part
from sempre.server.responses import JSON
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep
from sempre.server.task_runs import queries as task_run_queries
from sempre.server.task_runs import rows as task_run_rows
from sempre.server.ui import queries
from sempre.server.variables.queries import values_by_name

__all__ = ["router"]

router = Room(prefix="/ui", tags=["UI"])

_MINUTE = timedelta(minutes=1)

Ids = Annotated[list[UUID], Body(embed=True)]


@router.post("/flows/count-deployments", tags=["Flows"])
async def count_deployments_by_flow(scope: ScopeDep, flow_ids: Ids) -> dict[UUID, int]:
    """How many deployments each flow has; every id that was asked for is in the answer."""
    counts = await queries.deployments_by_flow(scope.db, scope.workspace_id, flow_ids)
    return {**dict.fromkeys(flow_ids, 0), **{row["id"]: row["count"] for row in counts}}


@router.post("/flows/next-runs", response_model=dict[UUID, SimpleNextFlowRun | None], tags=["Flows"])
async def next_runs_by_flow(scope: ScopeDep, flow_ids: Ids) -> Response:
    """The next scheduled run of each flow, null for a flow without."""
    found = await queries.next_run_by_flow(scope.db, scope.workspace_id, flow_ids)
    runs: dict[str, Any] = {str(id): None for id in flow_ids}
    runs.update((str(row["flow_id"]), dict(row)) for row in found)
    return JSON(runs)


@router.post("/flow_runs/history", response_model=list[SimpleFlowRun], tags=["Flow Runs"])
async def read_flow_run_history(scope: ScopeDep, asked: FlowRunDots) -> Response:
    """The runs that match as dots: when, how long, how late."""
    part = Part(asked.limit, asked.offset)
    rows = await queries.history(scope.db, scope.workspace_id, asked, asked.sort, part)
    dots = []
    for row in rows:
        duration, lateness = estimates(row, row["now"])
        dots.append(
            {
                "id": row["id"],
                "state_type": row["state_type"],
                "timestamp": row["start_time"] or row["expected_start_time"] or row["state_timestamp"],
                "duration": duration,
                "lateness": lateness,
            }
        )
    return JSON(dots)


@router.post("/flow_runs/count-task-runs", tags=["Flow Runs"])
async def count_task_runs_by_flow_run(scope: ScopeDep, flow_run_ids: Ids) -> dict[UUID, int]:
    """How many task runs each flow run has, subflows left out."""
    counts = await queries.task_runs_by_flow_run(scope.db, scope.workspace_id, flow_run_ids)
    return {**dict.fromkeys(flow_run_ids, 0), **{row["id"]: row["count"] for row in counts}}


@router.post("/task_runs/dashboard/counts", response_model=list[TaskRunCount], tags=["Task Runs"])
async def read_dashboard_task_run_counts(scope: ScopeDep, asked: Dashboard) -> Response:
    """Finished task runs in twenty equal spans from ``start_time.after_`` to ``before_``, or to now."""
    window = asked.task_runs.start_time
    if window is None or window.after_ is None:
        raise Unprocessable("task_runs.start_time.after_ is required")
    start = window.after_.replace(second=0, microsecond=0)
    end = (window.before_ or datetime.now(UTC)).replace(second=0, microsecond=0) + _MINUTE
    counts = [{"completed": 0, "failed": 0} for _ in range(queries.BUCKETS)]
    if end > start:
        others = asked.task_runs.model_copy(update={"state": None, "start_time": None})
        asked = asked.model_copy(update={"task_runs": others})
        found = await queries.finished_task_runs(scope.db, scope.workspace_id, asked, start, end)
        for row in found:
            counts[row["bucket"] - 1] = {"completed": row["completed"], "failed": row["failed"]}
    return JSON(counts)


@router.post("/task_runs/count", response_model=CountByState, tags=["Task Runs"])
async def read_task_run_counts_by_state(scope: ScopeDep, asked: RunFilters) -> Response:
    """How many task runs are in each type of state."""
    counts = await queries.task_runs_by_state(scope.db, scope.workspace_id, asked)
    none: dict[str, int] = {type.value: 0 for type in StateType}
    return JSON({**none, **{row["state_type"]: row["count"] for row in counts}})


@router.get("/task_runs/{id:uuid}", response_model=UITaskRun, tags=["Task Runs"])
async def read_task_run_with_flow_run_name(scope: ScopeDep, id: UUID) -> Response:
    """A task run with the name of its flow run, null without one."""
    found = await task_run_queries.find(scope.db, scope.workspace_id, id)
    if found is None:
        raise NotFound("Task not found")
    flow_run_id = found["flow_run_id"]
    name = await queries.name_of_flow_run(scope.db, scope.workspace_id, flow_run_id) if flow_run_id else None
    return JSON({**task_run_rows.to_wire(found), "flow_run_name": name})


@router.post("/schemas/validate", response_model=SchemaValuesValidationResponse, tags=["Schemas"])
async def validate_obj(
    scope: ScopeDep,
    form: Annotated[dict[str, Any], Body(alias="schema")],
    values: Annotated[dict[str, Any], Body()],
) -> Response:
    """What is wrong with the values of a form; placeholders are filled in first, templates only checked."""
    variables = await values_by_name(scope.db, scope.workspace_id)
    hydrated = hydrate_keeping_problems(values, variables, render_templates=False)
    try:
        errors = validation_errors(form, hydrated)
    except InvalidSchema as error:
        raise Unprocessable(str(error)) from error
    return JSON({"errors": errors, "valid": not errors})
