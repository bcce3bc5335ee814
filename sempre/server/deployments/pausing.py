"""Pausing and resuming a deployment: whether its schedules make runs."""

from uuid import UUID

from sempre.server.deployments import queries
from sempre.server.deployments.events import deployment_event
from sempre.server.errors import NotFound
from sempre.server.events.emit import emit
from sempre.server.flow_runs.deletion import delete_scheduled
from sempre.server.scope import Scope

__all__ = ["set_paused"]


async def set_paused(scope: Scope, id: UUID, paused: bool) -> None:
    """Pausing also removes the runs that schedules have planned, late ones included. Raises NotFound."""
    async with scope.db.transaction() as transaction:
        was = await queries.set_paused(transaction, scope.workspace_id, id, paused)
        if was is None:
            raise NotFound("Deployment not found")
        if paused:
            await delete_scheduled(transaction, scope.workspace_id, [id], future_only=False)
        if was != paused:
            row = await queries.find(transaction, scope.workspace_id, id)
            assert row is not None  # locked by this transaction
            payload = {"updated_fields": ["paused"], "updates": {"paused": {"from": was, "to": paused}}}
            await emit(transaction, scope.workspace_id, deployment_event("updated", row, payload))
    scope.doorbell.ring("events")
