"""What a PATCH of a flow run may change, and when."""

from typing import Any
from uuid import UUID

from sempre.schemas.flow_runs import FlowRunUpdate
from sempre.server.errors import BadRequest, NotFound
from sempre.server.flow_runs import queries
from sempre.server.scope import Scope
from sempre.server.work_pools.job_variables import check_job_variables

__all__ = ["changes_of"]


async def changes_of(scope: Scope, id: UUID, update: FlowRunUpdate) -> dict[str, Any]:
    """Column values to write. Job variables may change only while the run waits for its infrastructure."""
    changes: dict[str, Any] = update.sent()
    if changes.get("job_variables") is not None:
        await _check(scope, id, changes["job_variables"])
    return changes


async def _check(scope: Scope, id: UUID, job_variables: dict[str, Any]) -> None:
    run = await queries.find(scope.db, scope.workspace_id, id)
    if run is None:
        raise NotFound("Flow run not found")
    if run["state_type"] is None:
        raise BadRequest("Flow run state is required to update job variables but none exists")
    if run["state_type"] != "SCHEDULED":
        raise BadRequest(f"Job variables for a flow run in state {run['state_type']} cannot be updated")
    if run["found_deployment_id"] is None:
        raise BadRequest("A deployment for the flow run could not be found")
    await check_job_variables(
        scope, run["found_deployment_id"], job_variables, required=True, prefix="Error updating flow run"
    )
