"""``/flow_run_states``: the states a flow run has been in."""

from uuid import UUID

from starlette.responses import Response

from sempre.schemas.states import State
from sempre.server import states
from sempre.server.errors import NotFound
from sempre.server.flow_runs import queries
from sempre.server.responses import JSON
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep

__all__ = ["router"]

router = Room(prefix="/flow_run_states", tags=["Flow Run States"])


@router.get("/{id:uuid}", response_model=State)
async def read_flow_run_state(scope: ScopeDep, id: UUID) -> Response:
    row = await queries.find_state(scope.db, scope.workspace_id, id)
    if row is None:
        raise NotFound("Flow run state not found")
    return JSON(states.row_to_wire(row))


@router.get("/", response_model=list[State])
async def read_flow_run_states(scope: ScopeDep, flow_run_id: UUID) -> Response:
    """The run's states, oldest first; none for an unknown run."""
    found = await queries.state_history(scope.db, scope.workspace_id, flow_run_id)
    return JSON([states.row_to_wire(row) for row in found])
