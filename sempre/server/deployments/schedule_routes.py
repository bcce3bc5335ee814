"""``/deployments/{id}/schedules``: a deployment's schedules one by one.

None of this changes the deployment itself; the scheduler notices changed schedules by their own times. But each write
locks it first, as all do: one after the other they cannot stand in each other's way.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import asyncpg
from fastapi import Body
from starlette.responses import Response

from sempre.db.pool import Executor
from sempre.schemas.deployments import DeploymentSchedule, DeploymentScheduleCreate, DeploymentScheduleUpdate
from sempre.server.deployments import queries
from sempre.server.deployments import schedules as stored
from sempre.server.deployments.rows import schedule_to_wire
from sempre.server.deployments.schedule_plan import new_schedule, patch_of
from sempre.server.errors import Conflict, NotFound
from sempre.server.flow_runs.deletion import delete_scheduled
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import Scope, ScopeDep

__all__ = ["router"]

router = Room(prefix="/deployments", tags=["Deployments"])

_NO_DEPLOYMENT = "Deployment not found."
_NO_SCHEDULE = "Schedule not found."
_SLUG_TAKEN = "Schedule slugs must be unique within a deployment."


@router.get("/{id:uuid}/schedules", response_model=list[DeploymentSchedule])
async def read_deployment_schedules(scope: ScopeDep, id: UUID) -> Response:
    """The deployment's schedules, the last changed first."""
    found = await stored.list_of(scope.db, scope.workspace_id, id)
    if found is None:
        raise NotFound(_NO_DEPLOYMENT)
    return JSON([schedule_to_wire(row) for row in found])


@router.post("/{id:uuid}/schedules", response_model=list[DeploymentSchedule], status_code=201)
async def create_deployment_schedules(
    scope: ScopeDep, id: UUID, schedules: Annotated[list[DeploymentScheduleCreate], Body()]
) -> Response:
    """Add schedules to the deployment."""
    now = datetime.now(UTC)
    new = [new_schedule(schedule, now, keep_maximum=True) for schedule in schedules]
    try:
        async with _writing(scope, id) as transaction:
            made = await stored.insert(transaction, scope.workspace_id, id, new)
    except asyncpg.UniqueViolationError as error:
        raise Conflict(_SLUG_TAKEN) from error
    return JSON([schedule_to_wire(row) for row in made], 201)


@router.patch("/{id:uuid}/schedules/{schedule_id:uuid}", status_code=204)
async def update_deployment_schedule(
    scope: ScopeDep, id: UUID, schedule_id: UUID, schedule: DeploymentScheduleUpdate
) -> Response:
    """Change a schedule. The runs planned for the deployment are removed, and planned anew within seconds."""
    change = patch_of(schedule_id, schedule, datetime.now(UTC))
    async with _writing(scope, id) as transaction:
        if not await stored.patch(transaction, id, [change]):
            raise NotFound(_NO_SCHEDULE)
        await delete_scheduled(transaction, scope.workspace_id, [id])
    return no_content()


@router.delete("/{id:uuid}/schedules/{schedule_id:uuid}", status_code=204)
async def delete_deployment_schedule(scope: ScopeDep, id: UUID, schedule_id: UUID) -> Response:
    """Delete a schedule and its runs, late ones included. What other schedules planned is planned anew within seconds.

    Late runs of other schedules stay: nobody would plan those again.
    """
    async with _writing(scope, id) as transaction:
        if not await stored.delete(transaction, scope.workspace_id, id, schedule_id):
            raise NotFound(_NO_SCHEDULE)
        await stored.delete_late_runs(transaction, scope.workspace_id, id, schedule_id)
        await delete_scheduled(transaction, scope.workspace_id, [id])
        await stored.touch(transaction, id)
    return no_content()


@asynccontextmanager
async def _writing(scope: Scope, deployment_id: UUID) -> AsyncIterator[Executor]:
    async with scope.db.transaction() as transaction:
        if not await queries.lock(transaction, scope.workspace_id, deployment_id):
            raise NotFound(_NO_DEPLOYMENT)
        yield transaction
