"""Deleting deployments, with what waits for them; runs that have begun stay, and so does their link."""

from uuid import UUID

from sempre.db.pool import Executor
from sempre.server.deployments import limits, queries
from sempre.server.deployments.events import deployment_event
from sempre.server.events.emit import emit
from sempre.server.flow_runs.deletion import delete_scheduled
from sempre.server.scope import Scope

__all__ = ["delete_deployments", "delete_in"]


async def delete_deployments(scope: Scope, ids: list[UUID]) -> list[UUID]:
    """Returns the ids that existed."""
    async with scope.db.transaction() as transaction:
        deleted = await delete_in(transaction, scope.workspace_id, ids)
    if deleted:
        scope.doorbell.ring("events")
    return deleted


async def delete_in(transaction: Executor, workspace_id: UUID, ids: list[UUID]) -> list[UUID]:
    """The same in a transaction of the caller's, who rings the doorbell (``events``) after its commit."""
    rows = await queries.find_many(transaction, workspace_id, ids)
    # The rows go first: from then on no scheduler adds runs, and those it has added are seen below.
    deleted = await queries.delete(transaction, workspace_id, [row["id"] for row in rows])
    if deleted:
        await delete_scheduled(transaction, workspace_id, deleted, auto_only=False, future_only=False)
        await limits.delete_own(transaction, workspace_id, deleted)
        gone = set(deleted)
        made = (deployment_event("deleted", row) for row in rows if row["id"] in gone)
        await emit(transaction, workspace_id, *made)
    return deleted
