"""``/task_runs``: create, read, list, change, delete, and propose states."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Body
from starlette.responses import Response

from sempre.core.states import StateType
from sempre.core.transitions.model import Policy, Proposal
from sempre.db import tables
from sempre.schemas.lists import RunFilters, TaskRunHistory, TaskRunList, TaskRunPage
from sempre.schemas.responses import HistoryResponse, OrchestrationResult, TaskRunPaginationResponse
from sempre.schemas.states import StateCreate
from sempre.schemas.task_runs import TaskRun, TaskRunCreate, TaskRunUpdate
from sempre.server import lists
from sempre.server.errors import NotFound
from sempre.server.filters.relations import TASK_RUNS, matching
from sempre.server.history import intervals_of, read_history
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep
from sempre.server.task_runs import queries, rows
from sempre.server.task_runs.creation import create_task_run
from sempre.server.task_runs.deletion import delete_run
from sempre.server.task_runs.orchestration import set_task_run_state

__all__ = ["router"]

router = Room(prefix="/task_runs", tags=["Task Runs"])

_NOT_FOUND = "Task not found"
_PENDING = Proposal(StateType.PENDING, "Pending")


@router.post("/{id:uuid}/set_state", response_model=OrchestrationResult, name="set_task_run_state")
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


@router.post("/", response_model=TaskRun, name="create_task_run")
async def create(scope: ScopeDep, task_run: TaskRunCreate) -> Response:
    """Create a task run: 201, or 200 with the run that has the same flow run, task key and dynamic key."""
    proposal = task_run.state.to_proposal(datetime.now(UTC)) if task_run.state else _PENDING
    run, new = await create_task_run(scope, task_run, proposal)
    return JSON(run, 201 if new else 200)


@router.get("/{id:uuid}", response_model=TaskRun)
async def read_task_run(scope: ScopeDep, id: UUID) -> Response:
    row = await queries.find(scope.db, scope.workspace_id, id)
    if row is None:
        raise NotFound(_NOT_FOUND)
    return JSON(rows.to_wire(row))


@router.patch("/{id:uuid}", status_code=204)
async def update_task_run(scope: ScopeDep, id: UUID, task_run: TaskRunUpdate) -> Response:
    """Rename the task run."""
    if not await queries.rename(scope.db, scope.workspace_id, id, task_run.sent().get("name")):
        raise NotFound("Task run not found")
    return no_content()


@router.delete("/{id:uuid}", status_code=204)
async def delete_task_run(scope: ScopeDep, id: UUID) -> Response:
    """Delete the task run with its states and logs; a subflow run that it stood for stays."""
    async with scope.db.transaction() as transaction:
        deleted = await delete_run(transaction, scope.workspace_id, id)
    if not deleted:
        raise NotFound(_NOT_FOUND)
    return no_content()


@router.post("/filter", response_model=list[TaskRun])
async def read_task_runs(scope: ScopeDep, asked: TaskRunList) -> Response:
    """The runs that match, sorted, one page of them."""
    found = await queries.page(scope.db, scope.workspace_id, asked, asked.sort, lists.part_of(scope, asked))
    return JSON([rows.to_wire(row) for row in found])


@router.post("/count")
async def count_task_runs(scope: ScopeDep, asked: RunFilters) -> int:
    """How many runs the filters match."""
    return await lists.count(scope.db, scope.workspace_id, TASK_RUNS, asked)


@router.post("/paginate", response_model=TaskRunPaginationResponse)
async def paginate_task_runs(scope: ScopeDep, asked: TaskRunPage) -> Response:
    """One numbered page of the runs that match, in a reduced form, with their total."""
    part = lists.part_of(scope, asked)
    total = await lists.count(scope.db, scope.workspace_id, TASK_RUNS, asked)
    found = await queries.page(scope.db, scope.workspace_id, asked, asked.sort, part, few=total <= lists.FEW)
    return JSON(lists.page_of([rows.to_summary(row) for row in found], total=total, part=part, page=asked.page))


@router.post("/history", response_model=list[HistoryResponse])
async def task_run_history(scope: ScopeDep, asked: TaskRunHistory) -> Response:
    """The runs that match by the interval in which they were expected to start, and by state."""
    intervals = intervals_of(asked)
    condition = matching(TASK_RUNS, asked, scope.workspace_id)
    return JSON(await read_history(scope.db, tables.task_run, condition, intervals))
