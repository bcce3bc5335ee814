"""``/task_runs``: create, read, list, change, delete, and propose states."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Body
from starlette.responses import Response

from sempre.core.states import StateType
from sempre.core.transitions.model import Policy, Proposal
from sempre.db import tables
from sempre.schemas.base import DateTime, Duration
from sempre.schemas.filters.deployments import DeploymentFilter
from sempre.schemas.filters.flow_runs import FlowRunFilter
from sempre.schemas.filters.flows import FlowFilter
from sempre.schemas.filters.task_runs import TaskRunFilter
from sempre.schemas.responses import HistoryResponse, OrchestrationResult, TaskRunPaginationResponse
from sempre.schemas.sorting import TaskRunSort
from sempre.schemas.states import StateCreate
from sempre.schemas.task_runs import TaskRun, TaskRunCreate, TaskRunUpdate
from sempre.server import lists
from sempre.server.errors import NotFound
from sempre.server.filters.relations import Filters, on_task_runs
from sempre.server.history import intervals_of, read_history
from sempre.server.lists import Limit, Offset, PageNumber
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep
from sempre.server.task_runs import queries, rows
from sempre.server.task_runs.creation import create_task_run
from sempre.server.task_runs.deletion import delete_run
from sempre.server.task_runs.orchestration import set_task_run_state

__all__ = ["router"]

router = Room(prefix="/task_runs", tags=["Task Runs"])

Sort = Annotated[TaskRunSort, Body()]

_NOT_FOUND = "Task not found"
_PENDING = Proposal(StateType.PENDING, "Pending")


@router.post("/{id:uuid}/set_state", response_model=OrchestrationResult)
async def set_state(
    scope: ScopeDep,
    id: UUID,
    state: Annotated[StateCreate, Body()],
    force: Annotated[bool | None, Body()] = False,
) -> Response:
    """Propose a state. 201 when one was written (also a substitute), 200 when the run stays as it is.

    A ``deferred`` state follows the rules of background tasks, even if it is forced.
    """
    proposal = state.to_proposal(datetime.now(UTC))
    outcome = await set_task_run_state(scope, id, proposal, Policy.FORCED if force else Policy.CORE)
    return JSON(outcome.to_wire(), 201 if outcome.written else 200)


@router.post("/", response_model=TaskRun)
async def create(scope: ScopeDep, task_run: TaskRunCreate) -> Response:
    """Create a task run: 201, or 200 with the run that has the same flow run, task key and dynamic key."""
    proposal = task_run.state.to_proposal(datetime.now(UTC)) if task_run.state else _PENDING
    run, new = await create_task_run(scope, task_run, proposal)
    return JSON(run, 201 if new else 200)


@router.get("/{id:uuid}", response_model=TaskRun)
async def read(scope: ScopeDep, id: UUID) -> Response:
    row = await queries.find(scope.db, scope.workspace_id, id)
    if row is None:
        raise NotFound(_NOT_FOUND)
    return JSON(rows.to_wire(row))


@router.patch("/{id:uuid}", status_code=204)
async def update(scope: ScopeDep, id: UUID, task_run: TaskRunUpdate) -> Response:
    """Rename the task run."""
    if not await queries.rename(scope.db, scope.workspace_id, id, task_run.sent().get("name")):
        raise NotFound("Task run not found")
    return no_content()


@router.delete("/{id:uuid}", status_code=204)
async def delete(scope: ScopeDep, id: UUID) -> Response:
    """Delete the task run with its states and logs; a subflow run that it stood for stays."""
    async with scope.db.transaction() as transaction:
        deleted = await delete_run(transaction, scope.workspace_id, id)
    if not deleted:
        raise NotFound(_NOT_FOUND)
    return no_content()


@router.post("/filter", response_model=list[TaskRun])
async def read_many(
    scope: ScopeDep,
    sort: Sort = TaskRunSort.ID_DESC,
    limit: Limit = None,
    offset: Offset = 0,
    flows: FlowFilter | None = None,
    flow_runs: FlowRunFilter | None = None,
    task_runs: TaskRunFilter | None = None,
    deployments: DeploymentFilter | None = None,
) -> Response:
    """The runs that match, sorted, one page of them."""
    found = await queries.page(
        scope.db,
        scope.workspace_id,
        Filters(flows, flow_runs, task_runs, deployments),
        sort=sort,
        limit=lists.bounded(scope, limit),
        offset=offset,
    )
    return JSON([rows.to_wire(row) for row in found])


@router.post("/count")
async def count(
    scope: ScopeDep,
    flows: FlowFilter | None = None,
    flow_runs: FlowRunFilter | None = None,
    task_runs: TaskRunFilter | None = None,
    deployments: DeploymentFilter | None = None,
) -> int:
    """How many runs the filters match."""
    return await queries.total(scope.db, scope.workspace_id, Filters(flows, flow_runs, task_runs, deployments))


@router.post("/paginate", response_model=TaskRunPaginationResponse)
async def paginate(
    scope: ScopeDep,
    sort: Sort = TaskRunSort.ID_DESC,
    limit: Limit = None,
    page: PageNumber = 1,
    flows: FlowFilter | None = None,
    flow_runs: FlowRunFilter | None = None,
    task_runs: TaskRunFilter | None = None,
    deployments: DeploymentFilter | None = None,
) -> Response:
    """One numbered page of the runs that match, in a reduced form, with their total."""
    filters = Filters(flows, flow_runs, task_runs, deployments)
    size = lists.bounded(scope, limit)
    found = await queries.page(scope.db, scope.workspace_id, filters, sort=sort, limit=size, offset=(page - 1) * size)
    total = await queries.total(scope.db, scope.workspace_id, filters)
    return JSON(lists.page_of([rows.to_summary(row) for row in found], total=total, limit=size, page=page))


@router.post("/history", response_model=list[HistoryResponse])
async def history(
    scope: ScopeDep,
    history_start: Annotated[DateTime, Body()],
    history_end: Annotated[DateTime, Body()],
    history_interval_seconds: Annotated[Duration, Body()],
    flows: FlowFilter | None = None,
    flow_runs: FlowRunFilter | None = None,
    task_runs: TaskRunFilter | None = None,
    deployments: DeploymentFilter | None = None,
) -> Response:
    """The runs that match by the interval in which they were expected to start, and by state."""
    intervals = intervals_of(history_start, history_end, history_interval_seconds)
    condition = on_task_runs(Filters(flows, flow_runs, task_runs, deployments), scope.workspace_id)
    return JSON(await read_history(scope.db, tables.task_run, condition, intervals))
