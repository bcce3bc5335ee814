"""``/task_run_states``: the states a task run has been in."""

from uuid import UUID

from starlette.responses import Response

from sempre.db.pool import Executor, Record
from sempre.schemas.states import State
from sempre.server import states
from sempre.server.errors import NotFound
from sempre.server.responses import JSON
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep

__all__ = ["router"]

router = Room(prefix="/task_run_states", tags=["Task Run States"])


@router.get("/{id:uuid}", response_model=State)
async def read_task_run_state(scope: ScopeDep, id: UUID) -> Response:
    row = await _find(scope.db, scope.workspace_id, id)
    if row is None:
        raise NotFound("Flow run state not found")  # the protocol's text, of task-run states too
    return JSON(states.row_to_wire(row))


@router.get("/", response_model=list[State])
async def read_task_run_states(scope: ScopeDep, task_run_id: UUID) -> Response:
    """The run's states, oldest first; none for an unknown run."""
    found = await _history(scope.db, scope.workspace_id, task_run_id)
    return JSON([states.row_to_wire(row) for row in found])


async def _find(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    return await db.fetchrow("SELECT * FROM task_run_state WHERE workspace_id = $1 AND id = $2", workspace_id, id)


async def _history(db: Executor, workspace_id: UUID, task_run_id: UUID) -> list[Record]:
    return await db.fetch(
        "SELECT * FROM task_run_state WHERE workspace_id = $1 AND task_run_id = $2 ORDER BY timestamp, id",
        workspace_id,
        task_run_id,
    )
